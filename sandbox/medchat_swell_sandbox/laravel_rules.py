"""Messages of Laravel's validation rules, by Laravel version."""

from __future__ import annotations

FIELD_SINCE = 10
SELECTED = "The selected {field} is invalid."
TEXTS = {
    # Rule: (up to version 9, since version 10).
    "required": ("The {field} field is required.",) * 2,
    "required_with": ("The {field} field is required when {other} is present.",) * 2,
    "in": (SELECTED,) * 2,
    "exists": (SELECTED,) * 2,
    "regex": ("The {field} format is invalid.", "The {field} field format is invalid."),
    "string": ("The {field} must be a string.", "The {field} field must be a string."),
    "integer": ("The {field} must be an integer.", "The {field} field must be an integer."),
    "min": ("The {field} must be at least {min}.", "The {field} field must be at least {min}."),
    "between": (
        "The {field} must be between {min} and {max}.",
        "The {field} field must be between {min} and {max}.",
    ),
    "max_items": (
        "The {field} must not have more than {max} items.",
        "The {field} field must not have more than {max} items.",
    ),
    "date": ("The {field} is not a valid date.", "The {field} field must be a valid date."),
    "date_format": (
        "The {field} does not match the format {format}.",
        "The {field} field must match the format {format}.",
    ),
    "before_or_equal": (
        "The {field} must be a date before or equal to {date}.",
        "The {field} field must be a date before or equal to {date}.",
    ),
    "after_or_equal": (
        "The {field} must be a date after or equal to {date}.",
        "The {field} field must be a date after or equal to {date}.",
    ),
    # Not a Laravel rule but the application's own.
    "range": ("The date range cannot exceed 7 days.",) * 2,
}


def validation_message(rule: str, field: str, version: int, **values: object) -> str:
    """Return the message of a rule for a field in a Laravel version."""
    text = TEXTS[rule][version >= FIELD_SINCE]
    return text.format(field=field.replace("_", " "), **values)
