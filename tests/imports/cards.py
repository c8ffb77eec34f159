"""vCards, in the shapes that iPhones, Android phones, Google, Outlook and older phones write."""

from __future__ import annotations

from tests.imports.case import add, case, duplicate, same, unreadable

PHOTO = "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD\n /2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYG\n BwkIBgcJ\n"

CARDS = [
    case(
        "iphone.vcf",
        "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Apple Inc.//iPhone OS 17.0//EN\r\nN:Example;Nila;Rani;;\r\nFN:Nila Rani Example\r\n"
        "ORG:Acme Example;\r\nTITLE:Manager\r\nEMAIL;type=INTERNET;type=HOME;type=pref:nila@example.com\r\n"
        "item1.TEL;type=pref:+91 92000 00060\r\nitem1.X-ABLabel:_$!<Other>!$_\r\nTEL;type=CELL;type=VOICE:+91 92000 00061\r\n"
        + PHOTO.replace("\n", "\r\n")
        + "END:VCARD\r\n",
        add(
            1,
            "919200000060",
            "Nila Rani",
            "Example",
            "nila@example.com",
            "Acme Example",
            "Manager",
            reason="left out: +91 92000 00061 (cell)",
        ),
    ),
    case(
        "iphone-company.vcf",
        "BEGIN:VCARD\nVERSION:3.0\nN:;;;;\nFN:Acme Example\nORG:Acme Example;\nTEL;type=WORK:9200000062\nX-ABShowAs:COMPANY\nEND:VCARD\n",
        unreadable(1, "it has no last name"),
    ),
    case(
        "iphone-first-name-only.vcf",
        "BEGIN:VCARD\nVERSION:3.0\nN:;Nila;;;\nFN:Nila\nTEL;type=CELL:9200000063\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:3.0\nN:;Nila Example;;;\nFN:Nila Example\nTEL;type=CELL:9200000064\nEND:VCARD\n",
        unreadable(1, "it has no last name"),
        add(2, "919200000064", "Nila", "Example"),
    ),
    case(
        "android-2.1.vcf",
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=45=78=61=6D=70=6C=65;=E0=A4=86=E0=A4=B6=\r\n"
        "=E0=A4=BE;;;\r\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E0=A4=86=E0=A4=B6=E0=A4=BE\r\nTEL;CELL;PREF:9200000065\r\n"
        "TEL;HOME:04423456789\r\nEMAIL;HOME:asha@example.com\r\nORG:Acme;Sales\r\n"
        "PHOTO;ENCODING=BASE64;JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD=\r\n /2wBDAAIBAQEBAQIB\r\n\r\nEND:VCARD\r\n",
        add(
            1,
            "919200000065",
            "आशा",
            "Example",
            "asha@example.com",
            "Acme",
            reason="left out: 04423456789 (home)",
        ),
    ),
    case(
        "nokia-2.1-charset.vcf",
        "BEGIN:VCARD\nVERSION:2.1\nN;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:M=FCller;Ren=E9\nTEL;CELL:9200000066\nEND:VCARD\n",
        add(1, "919200000066", "René", "Müller"),
    ),
    case(
        "android-3.0.vcf",
        "BEGIN:VCARD\nVERSION:3.0\nN:Example;Nila;;;\nFN:Nila Example\nTEL;TYPE=WORK,VOICE:+91 44 2345 6789\n"
        'TEL;TYPE="CELL,VOICE":092000 00067\nEND:VCARD\n',
        add(1, "919200000067", "Nila", "Example", reason="left out: +91 44 2345 6789 (work)"),
    ),
    case(
        "google-3.0.vcf",
        "BEGIN:VCARD\nVERSION:3.0\nFN:Asha Example\nN:Example;Asha;;;\nEMAIL;TYPE=INTERNET;TYPE=WORK:asha@example.com\n"
        "item1.TEL:+91 92000 00001\nitem1.X-ABLabel:\nitem2.ORG:Acme Example\nitem3.TITLE:Manager\nCATEGORIES:myContacts\nEND:VCARD\n",
        same(1, 1),
    ),
    case(
        "version-4.0.vcf",
        'BEGIN:VCARD\nVERSION:4.0\nFN:Nila Example\nN:Example;Nila;;;\nTEL;VALUE=uri;TYPE="voice,home":tel:+91-44-2345-6789\n'
        "TEL;VALUE=uri;PREF=1;TYPE=cell:tel:+91-92000-00068\nEMAIL:nila@example.com\nORG:Acme\\, Inc.;Sales\nTITLE:Head\\; Sales\nEND:VCARD\n",
        add(
            1,
            "919200000068",
            "Nila",
            "Example",
            "nila@example.com",
            "Acme, Inc.",
            "Head; Sales",
            reason="left out: +91-44-2345-6789 (home)",
        ),
    ),
    case(
        "version-4.0-without-n.vcf",
        "BEGIN:VCARD\nVERSION:4.0\nFN:Nila Devi Example\nTEL;TYPE=cell:9200000069\nEND:VCARD\n",
        add(1, "919200000069", "Nila Devi", "Example"),
    ),
    case(
        "outlook-3.0.vcf",
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN;CHARSET=Windows-1252:Müller;René\r\nFN:René Müller\r\nORG:Café\r\nTEL;WORK;VOICE:044 23456789\r\n"
        "TEL;CELL;VOICE:9200000070\r\nEMAIL;PREF;INTERNET:rene@example.com\r\nEND:VCARD\r\n",
        add(
            1,
            "919200000070",
            "René",
            "Müller",
            "rene@example.com",
            "Café",
            reason="left out: 044 23456789 (work)",
        ),
        encoding="cp1252",
    ),
    case(
        "declared-charset.vcf",
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-2:Łoś;Nela\r\nORG;CHARSET=nonsense:Łoś\r\nTEL;CELL:9200000073\r\n"
        "END:VCARD\r\n",
        add(1, "919200000073", "Nela", "Łoś", "", "£o¶"),
        encoding="iso-8859-2",
    ),
    case(
        "preferences.vcf",
        "BEGIN:VCARD\nVERSION:4.0\nFN:Nila Example\nTEL;TYPE=cell;PREF=50:9200000074\nTEL;TYPE=home;PREF=2:9200000075\n"
        "TEL;TYPE=cell;PREF=x:9200000076\nEMAIL:\nEMAIL;PREF=9:nine@example.com\nEMAIL;PREF=3:nila@example.com\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:3.0\nFN:Nila Example\nTEL:9200000077\nEMAIL:\nEMAIL:nila@example.com\nEND:VCARD\n",
        add(1, "919200000075", "Nila", "Example", "nila@example.com"),
        add(2, "919200000077", "Nila", "Example", "nila@example.com"),
    ),
    case(
        "whole-name-as-family-name.vcf",
        "BEGIN:VCARD\nVERSION:2.1\nN:Nila Example\nTEL;CELL:9200000078\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:2.1\nN:Nila Example;;;;\nFN:Nila Example\nTEL;CELL:9200000079\nEND:VCARD\n",
        add(1, "919200000078", "Nila", "Example"),
        add(2, "919200000079", "Nila", "Example"),
    ),
    case(
        "folded-and-odd-lines.vcf",
        "\nBEGIN:VCARD\nVERSION:3.0\nthis is no property\nN:Exam\n ple;Ni\n la;;;\nFN:Nila Example\nNOTE:a: b\nTEL;TYPE=CELL:92000\n\t00071\n"
        "END:VCARD\n\nBEGIN:VCARD\nVERSION:3.0\nFN:Nila Example\nTEL:+91 92000 00071\nEND:VCARD\n",
        add(1, "919200000071", "Nila", "Example"),
        duplicate(2, 1),
    ),
    case(
        "no-number.vcf",
        "BEGIN:VCARD\nVERSION:3.0\nN:Example;Nila;;;\nFN:Nila Example\nEMAIL:nila@example.com\nEND:VCARD\n",
        unreadable(1, "it has no phone number"),
    ),
    case(
        "agent.vcf",
        "BEGIN:VCARD\nVERSION:2.1\nN:Example;Nila\nAGENT:\nBEGIN:VCARD\nVERSION:2.1\nN:Other;Person\nTEL:9200000099\nEND:VCARD\n"
        "TEL;CELL:9200000072\nEND:VCARD\n",
        add(1, "919200000072", "Nila", "Example"),
    ),
]
