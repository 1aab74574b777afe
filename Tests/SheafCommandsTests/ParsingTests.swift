import ArgumentParser
import SheafCore
import SheafSources
import Testing

@testable import SheafCommands

@Suite struct ParsingTests {
    private func create(_ arguments: String...) throws -> SheafCommand.Create {
        try #require(try SheafCommand.parseAsRoot(arguments) as? SheafCommand.Create)
    }

    @Test("create is the default command") func createIsTheDefault() throws {
        let command = try create("wordcount", "texts/a.txt", "texts/b.txt", "--json")
        #expect(command.input.flow == "wordcount")
        #expect(command.input.inputs == ["texts/a.txt", "texts/b.txt"])
        #expect(command.json.isOn)
        #expect(command.input.shuffle == nil)
        #expect(try create("create", "wordcount").input.flow == "wordcount")
    }

    @Test("With --flow, all arguments are inputs") func flowOptionMakesAllArgumentsInputs() throws {
        let command = try create("create", "a.csv", "b.csv", "--flow", "f", "--input", "c.csv")
        #expect(command.input.flow == "f")
        #expect(command.input.inputs == ["a.csv", "b.csv", "c.csv"])
    }

    @Test("- is standard input") func standardInputIsADash() throws {
        #expect(try create("create", "f", "-").input.inputs == ["-"])
    }

    @Test("create reads the options of a batch") func optionsOfABatch() throws {
        let command = try create(
            "create",
            "f",
            "--no-shuffle",
            "--max-records",
            "3",
            "--error-policy",
            "stop:5%",
            "--concurrency",
            "2",
            "-p",
            "lang=de",
            "-p",
            "lang=[\"de\",\"fr\"]",
            "--parameter",
            "n=1",
            "--batch-id",
            "b1",
            "--tag",
            "customer=acme",
            "--tag",
            "note=a=b",
            "--format",
            "csv"
        )
        #expect(command.input.shuffle == false)
        #expect(command.input.maxRecords == 3)
        #expect(command.input.format == .csv)
        #expect(command.publishing.errorPolicy == .stopPercent(above: 5))
        #expect(command.publishing.concurrency == 2)
        #expect(command.publishing.tags == ["customer": "acme", "note": "a=b"])
        #expect(command.publishing.batchId?.text == "b1")
        let parameters = ParameterArgument.object(command.publishing.parameters)
        #expect(parameters == ["lang": ["de", "fr"], "n": 1])
    }

    @Test(
        "Invalid command lines exit with 64",
        arguments: [
            ["create", "f", "--max-records", "0"], ["create", "f", "--concurrency", "0"],
            ["create", "f", "--concurrency", "100001"],
            ["create", "f", "--error-policy", "sometimes"], ["create", "f", "--batch-id", "last"],
            ["create", "f", "--timeout", "5s"], ["create", "f", "--dry-run", "--wait"],
            ["create", "f", "--no-shuffle", "--seed", "1"], ["create", "f", "-p", "novalue"],
            ["create", "f", "--tag", "novalue"], ["create", "f", "--tag", "a b=c"], ["list", "--tag", "a b"],
            ["run", "-n", "0"], ["run", "-c", "0"], ["run", "-c", "10001"], ["events", "b", "--index=-1"],
            ["run", "--max-time", "soon"], ["status"], ["list", "--limit", "0"],
            ["list", "--status", "done"], ["results", "last", "--json", "--format", "csv"], ["--nonsense"],
        ]
    ) func usageErrors(arguments: [String]) {
        #expect(throws: (any Error).self) { try SheafCommand.parseAsRoot(arguments) }
        do { _ = try SheafCommand.parseAsRoot(arguments) } catch {
            #expect(SheafCommand.exitCode(for: error).rawValue == ExitReason.usage.rawValue)
        }
    }

    @Test("The error for an error policy states the rule") func errorPolicyErrorsSayTheRule() {
        do {
            _ = try SheafCommand.parseAsRoot(["create", "f", "--error-policy", "sometimes"])
        } catch {
            #expect(SheafCommand.message(for: error).contains("stop:P%"))
        }
    }

    @Test(
        "A refused command line gets a reason, the help of the argument and the next step",
        arguments: [
            (["run", "-n", "x"], "the value 'x' is invalid for '-n <n>'\n  -n <n>  Run at most N tasks, then exit;"),
            (["status"], "missing argument '<batch>'\n  <batch>  The batch's id, or 'last' for the newest one.\n"),
            (["list", "--limit", "0"], "--limit must be 1 or more\n"),
            (["list", "--confg", "x"], "unknown option '--confg'; did you mean '--config'?\n"),
            (["results", "b", "--format", "x"], "the value 'x' is invalid for '--format <format>': expected 'jsonl',"),
            (
                ["list", "--status", "x"],
                "the value 'x' is invalid for '--status <status>': expected one of pending, processing, paused,"
            ),
            (
                ["set", "b", "max_running=0"],
                "the value 'max_running=0' is invalid for '<key=value>': max_running must"
            ),
        ]
    ) func refusedCommandLines(arguments: [String], beginning: String) throws {
        let error = try #require(throws: (any Error).self) { try SheafCommand.parseAsRoot(arguments) }
        let diagnosis = Diagnosis(parsing: error)
        #expect(diagnosis.status == .usage)
        #expect(diagnosis.text?.hasPrefix("sheaf: " + beginning) == true, "\(diagnosis)")
        #expect(
            diagnosis.text?.hasSuffix("\n  'sheaf \(arguments[0]) --help' shows the arguments and examples") == true
        )
    }

    private static let commands: [[String]] =
        CommandNames.subcommands().map { [$0] }
        + CommandNames.subcommands(of: SheafCommand.Dead.self).map { ["dead", $0] }

    @Test("The help of every command has an example, its usage, and lines of at most 80 columns", arguments: commands)
    func everyCommandHasHelp(path: [String]) throws {
        var command: any ParsableCommand.Type = SheafCommand.self
        for name in path {
            command = try #require(command.configuration.subcommands.first { CommandNames.name(of: $0) == name })
        }
        #expect(!command.configuration.abstract.isEmpty)
        let help = SheafCommand.helpMessage(for: command, columns: 80)
        #expect(help.contains("Example"))
        #expect(help.contains("\nUSAGE: sheaf \(path.joined(separator: " "))"))
        #expect(!help.contains("[--"), "options of the usage are listed below")
        for line in help.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    }

    @Test(
        "Durations are parsed",
        arguments: [
            ("90", Duration.seconds(90)), ("1.5", .milliseconds(1500)), ("250ms", .milliseconds(250)),
            ("60s", .seconds(60)),
            ("5m", .seconds(300)), ("2h", .seconds(7200)), ("2d", .seconds(172_800)), ("0", .zero),
        ]
    ) func timeSpans(text: String, duration: Duration) {
        #expect(TimeSpan(argument: text)?.duration == duration)
    }

    @Test(
        "Invalid durations are refused",
        arguments: ["", "-1", "s", "5x", "1h30", "soon", "1e99", "nan", "inf", "5m5"]
    )
    func brokenTimeSpans(text: String) {
        #expect(TimeSpan(argument: text) == nil)
    }

    @Test("A parameter is JSON if it can be parsed, else a string") func parametersAreJSONIfTheyParse() {
        func value(_ text: String) -> JSONValue? { ParameterArgument(argument: text)?.value }
        #expect(value("a=1") == 1)
        #expect(value("a=true") == true)
        #expect(value("a=de") == "de")
        #expect(value("a=") == "")
        #expect(value("a=x=y") == "x=y")
        #expect(value("a={\"b\":[1]}") == ["b": [1]])
        #expect(value("=1") == nil)
        #expect(value("a") == nil)
    }
}

@Suite struct CommandNamesTests {
    @Test(
        "A name that is no command is reported with the nearest ones",
        arguments: [
            (["help", "nonsense"], "there is no command 'nonsense'\n  'sheaf --help' lists the commands"),
            (["help", "stats"], "there is no command 'stats'; did you mean 'status'?\n  'sheaf --help' lists"),
            (["help", "res"], "there is no command 'res'; did you mean 'results' or 'resume'?"),
            (["help", "dead", "shw"], "there is no command 'dead shw'; did you mean 'show'?\n  'sheaf dead --help'"),
            (["dead", "nonsense"], "there is no command 'dead nonsense'\n"),
        ]
    ) func unknownCommands(arguments: [String], beginning: String) {
        let diagnosis = CommandNames.unknownCommand(in: arguments)
        #expect(diagnosis?.status == .usage)
        #expect(diagnosis?.text?.hasPrefix("sheaf: " + beginning) == true, "\(String(describing: diagnosis))")
    }

    @Test(
        "Commands, their arguments and flows are not reported",
        arguments: [
            [], ["help"], ["help", "help"], ["help", "dead", "list"], ["help", "status", "last"], ["wordcount", "x"],
            ["status", "x"], ["dead"], ["dead", "show", "17"], ["dead", "--json"], ["--help"],
        ]
    ) func knownCommands(arguments: [String]) {
        #expect(CommandNames.unknownCommand(in: arguments) == nil)
    }

    @Test("A word that is neither a command nor a flow gets the nearest command")
    func mistypedCommands() {
        let list = "'sheaf --help' lists the commands"
        #expect(CommandNames.suggestion(for: "stats") == "did you mean the command 'sheaf status'? " + list)
        #expect(CommandNames.suggestion(for: "zzz") == list)
    }
}

@Suite struct ArgumentOrderTests {
    @Test(
        "Common options may stand before the command",
        arguments: [
            (["list", "--json"], ["list", "--json"]),
            (["--broker", "amqp://h", "list"], ["list", "--broker", "amqp://h"]),
            (["--broker=amqp://h", "-q", "status", "last"], ["status", "--broker=amqp://h", "-q", "last"]),
            (["--broker", "list", "wordcount", "a"], ["--broker", "list", "wordcount", "a"]),
            (["--version"], ["--version"]), (["--broker"], ["--broker"]), ([], []),
        ]
    ) func commonOptionsMayStandFirst(given: [String], expected: [String]) {
        #expect(ArgumentOrder.commandFirst(given) == expected)
    }
}
