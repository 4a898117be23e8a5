"""Tests of the rule: `python3 -m unittest`."""

import unittest

import rule

NOW = 1_795_694_400
SETTINGS = rule.read_settings('{"report_types": ["confirmed-test", "revoked"], "newest_key_days": 3}')


def key_that_ended(seconds_ago):
    """A key of a whole day."""
    return ((NOW - seconds_ago) // rule.INTERVAL_SECONDS - 144, 144)


class Judge(unittest.TestCase):
    def check(self, report_type, keys, expect):
        try:
            answer = dict(rule.judge(SETTINGS, report_type, keys, NOW))["newest-key"]
        except rule.Refused as refused:
            answer = refused.code
        self.assertEqual(answer, expect)

    def test_report_type_must_be_in_the_list(self):
        self.check("confirmed-test", [key_that_ended(0)], "recent")
        self.check("revoked", [key_that_ended(0)], "recent")
        self.check("self-report", [key_that_ended(0)], "report-type-refused")
        self.check(None, [key_that_ended(0)], "report-type-refused")

    def test_newest_key_decides_and_its_last_moment_counts(self):
        old = key_that_ended(9 * rule.DAY_SECONDS)
        self.check("confirmed-test", [old, key_that_ended(3 * rule.DAY_SECONDS)], "earlier")
        self.check("confirmed-test", [old, key_that_ended(3 * rule.DAY_SECONDS + 600)], "keys-too-old")
        self.check("confirmed-test", [], "no-keys")

    def test_key_that_is_still_in_use_is_recent(self):
        self.check("confirmed-test", [key_that_ended(-rule.DAY_SECONDS)], "recent")


class ReadSettings(unittest.TestCase):
    def test_bad_configuration_says_what_is_wrong(self):
        for text, part in (
            ("", "no JSON"),
            ("[]", "no object"),
            ("{}", "report_types"),
            ('{"report_types": ["likely"]}', "likely"),
            ('{"report_types": ["revoked"], "newest_key_day": 1}', "unknown field newest_key_day;"),
            ('{"report_types": ["revoked"], "newest_key_days": 1.5}', "newest_key_days"),
            ('{"report_types": ["revoked"], "newest_key_days": 31}', "newest_key_days"),
        ):
            with self.assertRaises(rule.Refused) as raised:
                rule.read_settings(text)
            self.assertEqual(raised.exception.code, "config-invalid")
            self.assertIn(part, raised.exception.detail)


if __name__ == "__main__":
    unittest.main()
