"""The documented fields of the vendors' answers.

For `doctor --report`. The adapters accept less and more than this.
Sources: doc.telecmi.com/chub/docs/ (login-token, agent-get-contact in its v2 and v3 version, voicemail) and
docs.smartflo.tatatelebusiness.com/reference/ (generate-a-token, v1contacts, v1contactgroups).
"""

from __future__ import annotations

from collections.abc import Mapping

from syncer.core.shapes import Place, Promise
from syncer.remote import smartflo, telecmi

_TELECMI: Mapping[Place, Promise] = {
    "": "object",
    "code": "number",
    "msg": "?text",
    "message": "?text",
    "error": "?bool|text",
}
_SMARTFLO: Mapping[Place, Promise] = {"": "object", "success": "?bool", "message": "?text"}
_SMARTFLO_LIST: Mapping[Place, Promise] = {
    **_SMARTFLO,
    "page": "number",
    "size": "number",
    "limit": "number",
    "results": "list",
    "results[]": "object",
}

_CALLS: Mapping[Place, Promise] = {
    **_TELECMI,
    "count": "?number",
    "cdr": "?list",
    "cdr[]": "object",
    "cdr[].cmiuid": "text",
    "cdr[].time": "number",
    "cdr[].from": "number|text",
    "cdr[].to": "number|text",
    "cdr[].duration": "number",
    "cdr[].billedsec": "number",
    "cdr[].agent": "?text",
    "cdr[].name": "?text",
    "cdr[].notes": "?list",
    "cdr[].notes[]": "object",
    "cdr[].filename": "?text",
    "cdr[].rate": "?number",
    "cdr[].record": "?text|bool",
}

#: Call -> path -> documented kinds. Refusals have only the envelope, so only fields of rows are reported as missing.
PROMISES: Mapping[str, Mapping[Place, Promise]] = {
    telecmi.LOGIN: {
        **_TELECMI,
        "token": "?text",
        "agent": "?object",
        "agent.category": "text",
        "agent.id": "text",
        "agent.inet_no": "number",
        "agent.name": "text",
    },
    telecmi.DIRECTORY: {
        **_TELECMI,
        "count": "?number",
        "page_state": "?text|null",
        "contacts": "?list",
        "contacts[]": "object",
        "contacts[].contact_id": "text",
        "contacts[].phone_no": "text",
        "contacts[].first_name": "text",
        "contacts[].last_name": "text",
        "contacts[].email_id": "?text|null",
        "contacts[].company": "?text|null",
        "contacts[].job_title": "?text|null",
    },
    telecmi.USER_CONTACTS: {
        **_TELECMI,
        "count": "?number",
        "contacts": "?list",
        "contacts[]": "object",
        "contacts[].agent": "text",
        "contacts[].inet_no": "number",
        "contacts[].name": "text",
        "contacts[].mobile": "number",
        "contacts[].email": "?text",
        "contacts[].info": "?text",
        "contacts[].tag": "?text",
        "contacts[].status": "?text",
        "contacts[].time": "number",
        "contacts[].remindme": "?number",
        "contacts[].notes": "?list",
        "contacts[].notes[]": "object",
        "contacts[].notes[].msg": "text",
        "contacts[].notes[].date": "number",
        "contacts[].notes[].agent": "text",
    },
    telecmi.VOICEMAIL: {
        **_TELECMI,
        "count": "?number",
        "voicemail": "?list",
        "voicemail[]": "object",
        "voicemail[].time": "number",
        "voicemail[].from": "number",
        "voicemail[].voicename": "text",
    },
    **dict.fromkeys(telecmi.CALLS.values(), _CALLS),
    smartflo.LOGIN: {
        **_SMARTFLO,
        "access_token": "?text",
        "token_type": "?text",
        "expires_in": "?number",
        "number_of_days_left": "?number",
        "login_failed_count": "?number",
        "retry_after": "?text",
    },
    smartflo.CONTACTS: {
        **_SMARTFLO_LIST,
        "results[].id": "number|text",
        "results[].contact_group_id": "number|text",
        "results[].contact_group_name": "text",
        "results[].phone_number": "text",
        "results[].name": "text",
        "results[].email_id": "text|null",
        "results[].address": "text|null",
        "results[].company_name": "text|null",
        "results[].custom_fields": "list",
        "results[].custom_fields[]": "object",
        "results[].custom_fields[].name": "text",
        "results[].custom_fields[].value": "text|null",
        "results[].created_at": "text",
        "results[].updated_at": "text",
        "results[].deleted_at": "text|null",
    },
    smartflo.CALLS: {
        **_SMARTFLO_LIST,
        "count": "number",
        "results[].id": "number|text",
        "results[].call_id": "?text",
        "results[].direction": "text",
        "results[].status": "text",
        "results[].client_number": "text",
        "results[].did_number": "?text",
        "results[].agent_number": "?text|null",
        "results[].agent_name": "?text|null",
        "results[].date": "text",
        "results[].time": "text",
        "results[].end_stamp": "?text",
        "results[].call_duration": "number|text",
        "results[].answered_seconds": "number|text",
        "results[].voicemail_recording": "?bool",
        "results[].recording_url": "?text|null",
    },
    smartflo.GROUPS: {
        **_SMARTFLO_LIST,
        "results[].id": "number|text",
        "results[].name": "text",
        "results[].list_id": "?number|text|null",
        "results[].description": "?text|null",
        "results[].field_map": "?list|null",
        "results[].added_by": "?number|text|null",
        "results[].created_by": "?number|text|null",
        "results[].clone_from_contact": "?number|text|null|bool",
        "results[].created_at": "text",
        "results[].updated_at": "text",
        "results[].deleted_at": "?text|null",
        "results[].visible_to": "?number|text|null|list",
    },
}
