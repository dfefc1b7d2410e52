"""Tables and plots of a study."""


def main(arguments=None):
    pass
