"""Values planted where secrets and patient data stand, and the search for them."""

from __future__ import annotations

import base64
import html
import json
import typing as t
import urllib.parse
from datetime import datetime, timedelta, timezone

from medchat_swell_sandbox import Dataset, Sandbox
from medchat_swell_sandbox.credentials import Credentials

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.tap_process import Run

Found = list[tuple[str, str, str]]
# Characters that a URL, JSON, Python or a page has to escape; without them no form of a
# value would differ from the value.
MEDCHAT_TOKEN = r'mcCanary/+&"\tok=1'
SWELL_TOKEN = r'swCanary/+&"\tok%2'
SALT = r'saltCanary/+&"\3'
PROXY_PASSWORD = "pxCanary"
SECRETS = (MEDCHAT_TOKEN, SWELL_TOKEN, SALT)
PHONE = "2175550199"
OTHER_PHONE = "+1 (217) 555-0142"
NAME = 'Canaria "Quill" Łukasz-Ángström'
TEXT = 'Canary text:\nmy "results" & C:\\scans <b>żółć</b> 100%'
EMAIL = "canary.patient+1@example.com"
TAG = "canary-tag/ä"
PATIENT = (PHONE, OTHER_PHONE, NAME, TEXT, EMAIL, TAG)
ORG = "org-of-canaries"


def forms(value: str) -> set[str]:
    """A value in every form in which it may be written."""
    encoded = base64.b64encode(value.encode()).decode()
    written = {
        value,
        urllib.parse.quote(value),
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value)[1:-1])[1:-1],
        repr(value)[1:-1],
        repr(value.encode())[2:-1],
        html.escape(value),
        encoded.rstrip("="),
        base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    }
    return written | {form.lower() for form in written}


def found(values: tuple[str, ...], **texts: str) -> Found:
    """Where which of the values stand, and in which form."""
    return [
        (place, value, form)
        for place, text in texts.items()
        for value in values
        for form in forms(value)
        if form in text or form in text.lower()
    ]


def leaks(run: Run) -> Found:
    """Secrets anywhere, and patient data anywhere but in the values of records."""
    stdout = run.stdout.decode()
    other_lines = "\n".join(line for line in stdout.splitlines() if '"RECORD"' not in line[:20])
    return [
        *found((*SECRETS, PROXY_PASSWORD), stdout=stdout, log=run.log),
        *found(PATIENT, lines=other_lines, log=run.log),
    ]


def sandbox() -> Sandbox:
    """A sandbox with canaries for tokens, numbers, names and texts."""
    credentials = Credentials(
        medchat_org_id=ORG, medchat_access_token=MEDCHAT_TOKEN, swell_api_token=SWELL_TOKEN
    )
    return Sandbox(dataset(), credentials=credentials)


def dataset() -> Dataset:
    """A few rows, each with a canary in every column that may hold one."""
    data = Dataset()
    start = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=8)
    place = data.add_location(name="Main St")
    for number in range(6):
        created = start + timedelta(days=number)
        chat = data.add_chat(
            created=created, name=NAME, user_phone=PHONE, organization_phone=OTHER_PHONE
        )
        data.add_message(chat.id, created=created, text=TEXT)
        data.add_membership(chat.id, name=NAME, created=created)
        contact = data.add_contact(name=NAME, location_ids=(place.id,))
        contact.phone, contact.email, contact.tags = PHONE, EMAIL, [TAG]
        data.add_swell_message(contact.id, created=created, text=TEXT)
    return data


def poisoned_body() -> str:
    """An error body that quotes everything, in keys, values and texts."""
    everything = [*SECRETS, *PATIENT]
    return json.dumps(
        {
            "message": f"No rows for {NAME}, {PHONE}: {TEXT} (token={SWELL_TOKEN})",
            "code": NAME,
            "error": {"code": PHONE, "message": MEDCHAT_TOKEN, "innererror": everything},
            "errors": {
                PHONE: [f"{NAME} is required"],
                NAME: [TEXT],
                SWELL_TOKEN: [SWELL_TOKEN],
                "to_date": [f"The to date {TEXT} must be a date", SWELL_TOKEN],
                "page": everything,
            },
            **{value: value for value in everything},
        },
        ensure_ascii=False,
    )


def poisoned_page() -> str:
    """A web page that quotes everything."""
    quoted = "".join(f"<p>{value}<p>{html.escape(value)}" for value in (*SECRETS, *PATIENT))
    return f"<!doctype html><html><title>{NAME}</title>{quoted}</html>"


def poisoned_headers() -> tuple[tuple[str, str], ...]:
    """Headers that quote everything that a header can hold."""
    query = urllib.parse.urlencode({"token": SWELL_TOKEN, "name": NAME, "text": TEXT})
    return (
        ("Location", f"http://127.0.0.1:9/elsewhere?{query}"),
        ("X-Request-Id", f"{PHONE} of {SWELL_TOKEN}"),
        ("X-Error", urllib.parse.quote(TEXT)),
        ("Set-Cookie", f"session={urllib.parse.quote(SWELL_TOKEN)}; Path=/"),
        ("Link", f"<http://127.0.0.1:9/next?{query}>; rel=next"),
    )


def variables(config: dict[str, t.Any]) -> Iterator[tuple[str, str]]:
    """The settings as environment variables."""
    for name, value in config.items():
        yield f"TAP_MEDCHAT_SWELL_{name.upper()}", str(value)
