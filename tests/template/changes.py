"""How the template is broken on purpose."""


def put(*path_and_value):
    """Sets the value at a path below Resources."""
    *path, last, value = path_and_value

    def change(template):
        at = template["Resources"]
        for step in path:
            at = at[step]
        at[last] = value

    return change


def drop(*path):
    """Removes what is at a path below Resources."""

    def change(template):
        at = template["Resources"]
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return change


def always(*path):
    """Decides an `Fn::If` at a path below Resources for its first value, whatever the condition."""

    def change(template):
        at = template["Resources"]
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = at[path[-1]]["Fn::If"][1]

    return change


def both(one, other):
    """Makes two changes."""

    def change(template):
        one(template)
        other(template)

    return change


def moved(path, old, new):
    """Gives what is at a path below Resources another name."""

    def change(template):
        at = template["Resources"]
        for step in path:
            at = at[step]
        at[new] = at.pop(old)

    return change


def unguarded(*path):
    """Decides an `Fn::If` at a path below Resources for its second value, whatever the condition."""

    def change(template):
        at = template["Resources"]
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = at[path[-1]]["Fn::If"][2]

    return change
