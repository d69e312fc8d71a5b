"""The commands of `metagpt-ollama`, one module each: a module that is put into this folder is a command.

A command's module has what `cli.main.Command` declares. For example, the whole of a command `metagpt-ollama hello`:

    NAME = "hello"
    SUMMARY = "Greet whoever is named."
    POSITION = 60

    def add_arguments(parser):
        parser.add_argument("who")

    def run(arguments):
        print(f"Hello {arguments.who}")
        return DONE

It imports `DONE`, `FIXABLE`, `CliError` and `print_message` from `..console`, and what is slow to import inside of
`run`: the modules of all commands are imported for `metagpt-ollama --help`. Its test is a file of `tests/cli/`.
"""
