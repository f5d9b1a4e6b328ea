from __future__ import annotations

import pytest

from control_plane.domain import templates


def test_variables_are_named_once_in_order_with_white_space_or_without() -> None:
    assert templates.variables("{{b}} and {{ a }}, {{b}} {c} }} \\{{d}}") == ["b", "a"]


def test_values_take_the_place_of_variables() -> None:
    text = templates.fill("Hello {{ name }}, \\{{name}} of {{name}}.", {"name": "Ada"})
    assert text == "Hello Ada, {{name}} of Ada."


def test_a_value_is_never_a_template() -> None:
    values = {"name": "{{secret}} \\{{ \\1 \\g<0>", "secret": "42"}
    assert templates.fill("{{name}}/{{secret}}", values) == "{{secret}} \\{{ \\1 \\g<0>/42"


@pytest.mark.parametrize(
    "template",
    ["{{", "{{}}", "{{ 1a }}", "{{a b}}", "{{a.b}}", "{{a\n}}", "{{{a}}}", "x\n{{a|b}}", "{{é}}", "{{a}"],
)
def test_braces_that_are_no_variable_are_refused_with_their_line(template: str) -> None:
    with pytest.raises(ValueError, match=r"^line [12]: "):
        templates.variables(template)


def test_a_template_has_so_many_variables_at_most() -> None:
    text = " ".join(f"{{{{v{i}}}}}" for i in range(65))
    with pytest.raises(ValueError, match="at most 64"):
        templates.variables(text)


def test_what_is_missing_unknown_or_unfit_is_named() -> None:
    found = templates.violations(
        {"a", "b", "c", "d", "e"},
        {"a": "", "b": "x" * 4097, "c": "\0", "d": "\ud800", "other": "", "not a name": ""},
    )

    assert {field: why.split(":")[0] for field, why in found.items()} == {
        "variables.b": "must be at most 4096 bytes of UTF-8, not 4097",
        "variables.c": "must not hold the character U+0000",
        "variables.d": "must be valid Unicode",
        "variables.e": "is missing",
        "variables.other": "the agent has no such variable",
        "variables": "the agent has no such variable",
    }
