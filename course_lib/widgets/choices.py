"""Controls with a list of choices."""


def offer(control, value):
    """Make a value that is not among a control's choices one of them, in order."""
    if value not in control.options:
        more = {*control.options, value}
        control.options = tuple(sorted(more, key=lambda v: (isinstance(v, str), v)))
