"""A validator for a Tocsin key server: `fresh-report`.

This file is the connection to the server, the contract in `wit/validator.wit`; the rule itself is in `rule.py`, which
knows nothing of WebAssembly and is tested like any other Python. For each submission the server makes a fresh instance of
this component and calls `validate` once. Nothing is kept in memory from one call to the next.

componentize-py makes the package `wit_world` of `wit/` while it builds. To see it, and to help your editor:
`venv/bin/componentize-py -d wit -w contract bindings generated`.
"""

from wit_world import exports
from wit_world.imports import services
from wit_world.imports import tocsin_validator_types as types

import rule


class Validator(exports.Validator):
    """What the server calls."""

    def identity(self):
        """Name and version, for the server's log."""
        return "fresh-report 0.1.0"

    def validate(self, submission, evidence):
        """Judges one submission. This rule needs no evidence from the phone."""
        try:
            # What the operator wrote under `[validators.NAME.configuration]`, as JSON.
            settings = rule.read_settings(services.configuration())
            signals = rule.judge(
                settings,
                # `ReportType.CONFIRMED_TEST` becomes `confirmed-test`, the word of the contract.
                submission.report_type and submission.report_type.name.lower().replace("_", "-"),
                [(key.rolling_start, key.rolling_period) for key in submission.keys],
                services.now(),
            )
        except rule.Refused as refused:
            return reject(refused.code, types.Stage[refused.stage.upper()], refused.detail)
        return types.Verdict_Accept(
            types.Acceptance(
                score=100,
                # Counted by the server. Few values each: nothing here may identify a device or a person.
                signals=signals,
                # Nothing to remember. See `commit` in wit/validator.wit for what a validator can have remembered.
                commits=[],
            )
        )

    def resume(self, submission, evidence, continuation, response):
        """Called with the answer after `validate` returned `Verdict_Ask`, which this validator never does."""
        return reject("nothing-asked", types.Stage.UPSTREAM, "this validator asks nobody")


def reject(code, stage, detail):
    """A refusal that the phone need not repeat."""
    return types.Verdict_Reject(types.Rejection(code=code, stage=stage, retryable=False, detail=detail))
