"""The rule: only reports of certain types, and only with keys that are still worth publishing."""

import json
from dataclasses import dataclass

# Interval numbers count 10 minutes since 1970.
INTERVAL_SECONDS = 600
DAY_SECONDS = 86_400
REPORT_TYPES = ("confirmed-test", "confirmed-clinical-diagnosis", "self-report", "recursive", "revoked")


class Refused(Exception):
    """Why a submission may not be stored.

    The code is for counts and logs and should never change its meaning; the detail tells the operator which rule it was.
    """

    def __init__(self, code, stage, detail):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.stage = stage
        self.detail = detail


@dataclass(frozen=True)
class Settings:
    """What the operator can set."""

    report_types: frozenset
    """Types that are accepted. Without `revoked` nobody can take a report back."""
    newest_key_days: int
    """How long ago the newest key may have ended."""


def read_settings(text):
    """Reads the operator's JSON: `{"report_types": ["confirmed-test", "revoked"], "newest_key_days": 3}`.

    A bad configuration refuses every submission with stage `config`, so that it is noticed.
    """

    def invalid(detail):
        return Refused("config-invalid", "config", detail)

    try:
        values = json.loads(text)
    except ValueError:
        raise invalid("the configuration is no JSON") from None
    if not isinstance(values, dict):
        raise invalid("the configuration is no object")
    unknown = sorted(values.keys() - {"report_types", "newest_key_days"})
    if unknown:
        # A typo must not switch a rule off.
        raise invalid(f"unknown field {unknown[0]}; there are report_types and newest_key_days")
    report_types = values.get("report_types")
    if not isinstance(report_types, list) or not report_types:
        raise invalid("report_types is missing: a list of accepted types")
    for name in report_types:
        if name not in REPORT_TYPES:
            raise invalid(f"report_types: {name!r} is none of {', '.join(REPORT_TYPES)}")
    days = values.get("newest_key_days", 14)
    if type(days) is not int or not 0 <= days <= 30:
        raise invalid("newest_key_days is not a whole number from 0 to 30")
    return Settings(frozenset(report_types), days)


def judge(settings, report_type, keys, now):
    """Judges a submission; returns its signals or raises `Refused`.

    `report_type` is none when the certificate names no type, `keys` has (start, period) of each key in intervals, and `now`
    is in seconds since 1970.
    """
    if report_type not in settings.report_types:
        raise Refused("report-type-refused", "policy", f"reports of type {report_type or 'unknown'} are not accepted")
    if not keys:
        raise Refused("no-keys", "policy", "the submission has no keys")
    newest_end = max(start + period for start, period in keys) * INTERVAL_SECONDS
    age = now - newest_end
    if age > settings.newest_key_days * DAY_SECONDS:
        raise Refused("keys-too-old", "policy", f"the newest key ended over {settings.newest_key_days} days ago")
    return [("report-type", report_type), ("newest-key", "recent" if age <= DAY_SECONDS else "earlier")]
