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
            "--format",
            "csv"
        )
        #expect(command.input.shuffle == false)
        #expect(command.input.maxRecords == 3)
        #expect(command.input.format == .csv)
        #expect(command.publishing.errorPolicy == .stopPercent(above: 5))
        #expect(command.publishing.concurrency == 2)
        #expect(command.publishing.batchId?.text == "b1")
        let parameters = ParameterArgument.object(command.publishing.parameters)
        #expect(parameters == ["lang": ["de", "fr"], "n": 1])
    }

    @Test(
        "Invalid command lines exit with 64",
        arguments: [
            ["create", "f", "--max-records", "0"], ["create", "f", "--concurrency", "0"],
            ["create", "f", "--error-policy", "sometimes"], ["create", "f", "--batch-id", "last"],
            ["create", "f", "--timeout", "5s"], ["create", "f", "--dry-run", "--wait"],
            ["create", "f", "--no-shuffle", "--seed", "1"], ["create", "f", "-p", "novalue"],
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
        "Every command has help",
        arguments: [
            "create", "run", "status", "list", "watch", "wait", "results", "events", "cancel", "validate", "doctor",
            "exit-codes",
        ]
    ) func everyCommandHasHelp(name: String) throws {
        let command = try #require(
            SheafCommand.configuration.subcommands.first { command in
                (command.configuration.commandName ?? String(describing: command).lowercased()) == name
            }
        )
        #expect(!command.configuration.abstract.isEmpty)
        #expect(SheafCommand.helpMessage(for: command).contains("USAGE: sheaf \(name)"))
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
