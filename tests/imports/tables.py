"""Tables, in the shapes that Excel, LibreOffice, Google Contacts, Outlook, Zoho and people's own programs write.

The mirror has (see conftest.py): 1 Asha Example, 2 Ravi Kumar Example, 3 with a masked number, 4 deleted and waiting,
5 deleted, 6 and 7 with one number, 8 without a number.
"""

from __future__ import annotations

from tests.imports.case import add, case, duplicate, same, unreadable, update, workbook

OUTLOOK = (
    "First Name,Middle Name,Last Name,Title,Suffix,Web Page,Company,Department,Job Title,Business Phone,Business Phone 2,"
    "Company Main Phone,Home Phone,Mobile Phone,Other Phone,E-mail Address,E-mail 2 Address\r\n"
)
GOOGLE = (
    "First Name,Middle Name,Last Name,Phonetic First Name,Name Prefix,Nickname,File As,Organization Name,Organization Title,"
    "Organization Department,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,"
    "Phone 2 - Label,Phone 2 - Value\n"
)
GOOGLE_OLD = (
    "Name,Given Name,Additional Name,Family Name,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,"
    "Phone 1 - Value,Organization 1 - Type,Organization 1 - Name,Organization 1 - Title\n"
)
ZOHO = (
    "Record Id,Contact Owner,Salutation,First Name,Last Name,Account Name,Email,Title,Department,Phone,Mobile,Home Phone,"
    "Lead Source\n"
)

TABLES = [
    case(
        "excel-comma.csv",
        'First Name,Last Name,Phone,Email,Company\r\nNila,Example,92000 00010,nila@example.com,"Acme, Chennai"\r\n',
        add(2, "919200000010", "Nila", "Example", "nila@example.com", "Acme, Chennai"),
    ),
    case(
        "excel-semicolon-cp1252.csv",
        "First name;Last name;Mobile;Company\r\nRené;Müller;0092000 00011;Café “Example”\r\n",
        unreadable(2, "cannot be read as a number"),
        encoding="cp1252",
    ),
    case(
        "excel-semicolon-good-cp1252.csv",
        "First name;Last name;Mobile;Company\r\nRené;Müller;+91 92000-00011;Café “Example”\r\n",
        add(2, "919200000011", "René", "Müller", "", "Café “Example”"),
        encoding="cp1252",
    ),
    case(
        "excel-utf8-bom.csv",
        "\ufeffLast Name,First Name,Phone Number\r\nExample,आशा,09200000012\r\n",
        add(2, "919200000012", "आशा", "Example"),
    ),
    case(
        "excel-unicode-text.txt",
        "First Name\tLast Name\tPhone\r\nNila\tExample\t9200000013\r\n",
        add(2, "919200000013", "Nila", "Example"),
        encoding="utf-16",
    ),
    case(
        "excel-sep-line.csv",
        "sep=;\r\nFirst Name;Last Name;Phone\r\nNila;Example;9200000014\r\n",
        add(3, "919200000014", "Nila", "Example"),
    ),
    case(
        "excel-broken-numbers.csv",
        'First Name,Last Name,Mobile\r\nNila,Example,9.19E+11\r\nNila,Example,"9,2E+09"\r\n'
        'Nila,Example,"=""919200000015"""\r\nNila,Example,\'9200000016\r\n',
        unreadable(2, "9.19E+11 was shortened by a spreadsheet"),
        unreadable(3, "9,2E+09 was shortened by a spreadsheet"),
        add(4, "919200000015", "Nila", "Example"),
        add(5, "919200000016", "Nila", "Example"),
    ),
    case(
        "excel-failed-formula.csv",
        "First Name,Last Name,Phone,Company\r\nNila,Example,9200000017,#N/A\r\nNila,Example,#REF!,Acme\r\n",
        unreadable(2, "company: a formula failed (#N/A)"),
        unreadable(3, "cannot be read as a number"),
    ),
    case(
        "excel-blank-rows.csv",
        "First Name,Last Name,Phone,,\r\n,,,,\r\nNila,Example,9200000018,,\r\n,,,,\r\n,,,,\r\n",
        add(3, "919200000018", "Nila", "Example"),
    ),
    case(
        "libreoffice-quoted.csv",
        '"First Name","Last Name","Phone","Company"\n"Nila","Example","9200000019","The ""Best"" Example"\n',
        add(2, "919200000019", "Nila", "Example", "", 'The "Best" Example'),
    ),
    case(
        "libreoffice-line-breaks.csv",
        '"Name","Phone","Company"\n"Nila\nExample","9200000020","Acme\nExample"\n',
        add(2, "919200000020", "Nila", "Example", "", "Acme Example"),
    ),
    case(
        "mac-line-ends.csv",
        "Name,Phone\rNila Example,9200000021\r",
        add(2, "919200000021", "Nila", "Example"),
    ),
    case(
        "google-2024.csv",
        GOOGLE
        + "Nila,Rani,Example,,Ms,,,Acme,Manager,,,,,* myContacts,* Work,nila@example.com,Home,044 2345 6789,"
        "Mobile,+91 92000 00022\n"
        "Asha,,Example,,,,,Acme Example,Manager,,,,,* myContacts,* ,asha@example.com,Mobile,+91 92000 00001,,\n",
        add(
            2,
            "919200000022",
            "Nila Rani",
            "Example",
            "nila@example.com",
            "Acme",
            "Manager",
            reason="left out: 044 2345 6789 (Home)",
        ),
        same(3, 1),
    ),
    case(
        "google-several-values.csv",
        GOOGLE
        + "Nila,,Example,,,,,,,,,,,,* ,a@example.com ::: b@example.com,Mobile,+91 92000 00023 ::: +91 92000 00024,,\n",
        add(
            2, "919200000023", "Nila", "Example", "a@example.com", reason="left out: +91 92000 00024 (Mobile)"
        ),
    ),
    case(
        "google-old.csv",
        GOOGLE_OLD
        + "Nila Example,Nila,,Example,* myContacts,* Work,nila@example.com,Mobile,092000 00025,,Acme,Owner\n"
        "Nila Only Example,Nila,,,,,,Mobile,9200000026,,,\n",
        add(2, "919200000025", "Nila", "Example", "nila@example.com", "Acme", "Owner"),
        add(3, "919200000026", "Nila Only", "Example"),
    ),
    case(
        "google-primary-number.csv",
        GOOGLE + "Nila,,Example,,,,,,,,,,,,,,Mobile,+91 92000 00027,* Work,+91 92000 00028\n",
        add(2, "919200000028", "Nila", "Example", reason="left out: +91 92000 00027 (Mobile)"),
    ),
    case(
        "outlook.csv",
        OUTLOOK
        + "Nila,R.,Example,Mrs.,,,Acme,,Head of Sales,044 23456789,,,,9200000029,,nila@example.com,\r\n"
        ",,,,,,Example Traders,,,9200000030,,,,,,,\r\n",
        add(
            2,
            "919200000029",
            "Nila R.",
            "Example",
            "nila@example.com",
            "Acme",
            "Head of Sales",
            reason="left out: 044 23456789 (Business Phone)",
        ),
        unreadable(3, "it has no last name"),
    ),
    case(
        "zoho-contacts.csv",
        ZOHO
        + "zcrm_1,Owner,Mr.,Nila,Example,Acme Example,nila@example.com,Director,,04423456789,9200000031,,Web\n"
        "zcrm_2,Owner,,,Lonely,,,,,9200000032,,,\n",
        add(
            2,
            "919200000031",
            "Nila",
            "Example",
            "nila@example.com",
            "Acme Example",
            "Director",
            reason="left out: 04423456789 (Phone)",
        ),
        unreadable(3, "it has no first name"),
    ),
    case(
        "zoho-title-is-an-honorific.csv",
        "First Name,Last Name,Mobile,Title\nNila,Example,9200000033,Mr.\n",
        add(2, "919200000033", "Nila", "Example"),
    ),
    case(
        "own-program.csv",
        "FIRST_NAME,LAST_NAME,PHONE_NO,EMAIL_ID,COMPANY,JOB_TITLE\nAsha,Example,919200000001,asha@example.com,New Example,Manager\n"
        "Ravi Kumar,Example,+919200000002,ravi@example.com,,\n",
        update(2, 1, company="New Example"),
        update(3, 2, email_id="ravi@example.com"),
    ),
    case(
        "one-name.csv",
        "Name,Phone\nRavi  Kumar Example,9200000002\nAsha,9200000001\nNila Devi Example,9200000034\nMononym,9200000035\n",
        same(2, 2),
        same(3, 1),
        add(4, "919200000034", "Nila Devi", "Example"),
        unreadable(5, "it has no first name"),
    ),
    case(
        "mapped.csv",
        "Wer,Nummer,Firma\nNila Example,9200000036,Acme\n",
        add(2, "919200000036", "Nila", "Example", "", "Acme"),
        args="--map|phone_no= NUMMER |--map|first_name=wer|--map|last_name=wer|--map|company=Firma",
    ),
    case(
        "no-change-but-blanks.csv",
        "First Name,Last Name,Phone,Email,Company,Job Title\n Asha ,Example,0 92000-00001,,Acme\u00a0Example,\n",
        same(2, 1),
    ),
    case(
        "duplicates.csv",
        "Name,Phone\nNila Example,9200000037\nNila Again,+91 92000 00037\nAsha Example,9200000001\nAsha Other,9200000001\n",
        add(2, "919200000037", "Nila", "Example"),
        duplicate(3, 2),
        same(4, 1),
        duplicate(5, 4, contact=1),
    ),
    case(
        "tombstones.csv",
        "Name,Phone\nNila Example,9200000004\nNila Example,9200000005\n",
        duplicate(2, 4, contact=4),
        add(3, "919200000005", "Nila", "Example"),
    ),
    case(
        "numbers-that-cannot-be-read.csv",
        "First Name,Last Name,Phone\nMeena,Example,98xxxxxx03\nMeena,Changed,98xxxxxx03\nKiran,Example,\nNila,Example,98xxxxxx99\n"
        "Nila,Example,+91 92000 00038 ext 5\nNila,Example,92000 00039 / 92000 00040\nNila,Example,nobody@example.com\n",
        same(2, 3),
        duplicate(3, 2, contact=3),
        same(4, 8),
        unreadable(5, "is masked"),
        unreadable(6, "has an extension"),
        unreadable(7, "holds more than one number"),
        unreadable(8, "is a SIP address"),
    ),
    case(
        "two-contacts-with-one-number.csv",
        "First Name,Last Name,Phone\nBina,Example,9200000006\nMina,Example,9200000006\nOther,Example,9200000006\n",
        same(2, 6),
        same(3, 7),
        duplicate(4, 2),
    ),
    case(
        "ambiguous.csv",
        "First Name,Last Name,Phone\nOther,Example,9200000006\n",
        duplicate(2, 6, reason="contacts 6, 7 all have this number"),
    ),
    case(
        "shifted-row.csv",
        "First Name,Last Name,Phone\nNila,Example,9200000041\nNila,Example, Inc,9200000042\n",
        add(2, "919200000041", "Nila", "Example"),
        unreadable(3, "it has 4 cells and the header 3"),
    ),
    case(
        "lost-letters.csv",
        "First Name,Last Name,Phone\nN\ufffdla,Example,9200000043\n",
        unreadable(2, "first_name: a letter was lost"),
    ),
    case(
        "international.csv",
        "Name,Mobile\nJo Example,+1 415 555 2671\nNila Example,(+91) 92000 00044\n",
        add(2, "14155552671", "Jo", "Example"),
        add(3, "919200000044", "Nila", "Example"),
    ),
    case(
        "excel.xlsx",
        workbook(
            ["First Name", "Last Name", "Phone", "Email"],
            ["Nila", "Example", 9200000045, "nila@example.com"],
            ["Nila", "Example", 919200000046.0],
            ["Nila", "Example", "+91 92000 00047"],
            [],
            ["Nila", "Example", 9.2e20],
        ),
        add(2, "919200000045", "Nila", "Example", "nila@example.com"),
        add(3, "919200000046", "Nila", "Example"),
        add(4, "919200000047", "Nila", "Example"),
        unreadable(6, "was shortened by a spreadsheet"),
    ),
    case(
        "google-sheets.xlsx",
        workbook(["Name", "Mobile Number", "Company"], ["Nila Example", "9200000048", "=1+1"], shared=False),
        add(2, "919200000048", "Nila", "Example", "", "=1+1"),
    ),
    case(
        "libreoffice-wrong-dimension.xlsx",
        workbook(["Name", "Phone"], ["Nila Example", 9200000049], dimension='<dimension ref="A1"/>'),
        add(2, "919200000049", "Nila", "Example"),
    ),
    case(
        "hidden-sheet-first.xlsx",
        workbook(["Name", "Phone"], ["Nila Example", 9200000050], hidden=[["not", "these"]]),
        add(2, "919200000050", "Nila", "Example"),
    ),
    case(
        "good-row-after-a-bad-one.csv",
        "First Name,Last Name,Phone\nNila,,9200000052\nNila,Example,9200000052\n#N/A,Example,9200000053\n"
        "Nila,Example,9200000053\nNila,Again,9200000053\n",
        duplicate(2, 3, reason="row 3 of the file has the same number, and is more complete"),
        add(3, "919200000052", "Nila", "Example"),
        duplicate(4, 5),
        add(5, "919200000053", "Nila", "Example"),
        duplicate(6, 5),
    ),
    case(
        "headers-twice.csv",
        "Phone,Phone,First Name,Last Name,Email,Email\n9200000054,9200000055,Nila,Example,,nila@example.com\n"
        ",9200000056,Nila,Example,,\n",
        add(2, "919200000054", "Nila", "Example", "nila@example.com", reason="left out: 9200000055 (Phone)"),
        add(3, "919200000056", "Nila", "Example"),
    ),
    case(
        "headers-twice-mapped.csv",
        "Nr,Nr,First Name,Last Name\n,9200000057,Nila,Example\n",
        add(2, "919200000057", "Nila", "Example"),
        args="--map|phone_no=nr",
    ),
    case(
        "pandas-floats.csv",
        "First Name,Last Name,Phone\nNila,Example,9200000058.0\nNila,Example,919200000059.0\nNila,Example,1415555267.0\n",
        add(2, "919200000058", "Nila", "Example"),
        add(3, "919200000059", "Nila", "Example"),
        add(4, "911415555267", "Nila", "Example"),
    ),
    case(
        "failed-formula.xlsx",
        workbook(["Name", "Phone", "Company"], ["Nila Example", 9200000051, "#REF!"]),
        unreadable(2, "company: a formula failed (#REF!)"),
    ),
]
