"""How the template is broken on purpose. A step of a path is a name, a position, or what finds one in a list, such as
`sid`: positions move when something is added.
"""


def place(at, step):
    """The name or the position that a step means."""
    return step(at) if callable(step) else step


def reached(template, path):
    """What is at a path below Resources."""
    at = template["Resources"]
    for step in path:
        at = at[place(at, step)]
    return at


def sid(name):
    """The position of a statement in a policy, whether or not it is there under a condition only."""

    def found(statements):
        names = [(it["Fn::If"][1] if "Fn::If" in it else it)["Sid"] for it in statements]
        # Not an AssertionError where there is none: a test that expects a check to fail must not take this for it.
        return names.index(name)

    return found


def put(*path_and_value):
    """Sets the value at a path below Resources."""
    *path, last, value = path_and_value

    def change(template):
        at = reached(template, path)
        at[place(at, last)] = value

    return change


def drop(*path):
    """Removes what is at a path below Resources."""

    def change(template):
        at = reached(template, path[:-1])
        del at[place(at, path[-1])]

    return change


def decided(path, which):
    """Decides an `Fn::If` at a path below Resources, whatever the condition."""

    def change(template):
        at = reached(template, path[:-1])
        last = place(at, path[-1])
        at[last] = at[last]["Fn::If"][which]

    return change


def always(*path):
    """Decides an `Fn::If` for its first value."""
    return decided(path, 1)


def unguarded(*path):
    """Decides an `Fn::If` for its second value."""
    return decided(path, 2)


def both(one, other):
    """Makes two changes."""

    def change(template):
        one(template)
        other(template)

    return change


def moved(path, old, new):
    """Gives what is at a path below Resources another name."""

    def change(template):
        at = reached(template, path)
        at[new] = at.pop(old)

    return change
