import SheafCore
import SheafTestTools
import Testing

/// What scripts rely on: exit codes, and data and messages on separate streams.
@Suite(.timeLimit(.minutes(2))) struct ExitCodeTests {
    @Test("The exit code reports whether every task succeeded") func successAndFailureOfABatch() async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "picky", "-", "--batch-id", "good", input: "good\ngood\n")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "good").code == 0)
            #expect(try await bench.sheaf("wait", "good").code == 0)
            try await bench.sheaf("create", "picky", "-", "--batch-id", "mixed", input: "good\nnot\n")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "mixed").code == 1)
            #expect(try await bench.sheaf("wait", "mixed").code == 1)
            #expect(try await bench.sheaf("watch", "mixed").code == 1)
            #expect(try await bench.sheaf("status", "mixed").code == 0)
        }
    }

    @Test("A batch that its error policy stops exits with 1") func policyStops() async throws {
        try await Workbench.with { bench in
            let input = String(repeating: "not\n", count: 30)
            try await bench.sheaf("create", "picky", "-", "--error-policy", "stop", input: input)
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "last", "-c", "1").code == 1)
            let status = try await bench.sheaf("status", "last", "--json").json
            #expect(status["status"] == "failed")
            let stopped = try await bench.sheaf("status", "last")
            #expect(stopped.output.contains("\nstatus   failed (stopped: task "), "\(stopped.output)")
            #expect(stopped.output.contains("\nstopped  ") && !stopped.output.contains("\nfinished"))
            let wait = try await bench.sheaf("wait", "last")
            #expect(wait.code == 1 && wait.talk.contains("'sheaf resume ") && wait.talk.contains("'sheaf retry "))
            #expect((status["counts"]?["pending"]?.intValue ?? 0) > 20)
        }
    }

    @Test("A cancelled batch exits with 6") func cancelled() async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "words", "-", input: "a\nb\n")
            #expect(try await bench.sheaf("cancel", "last").code == 0)
            #expect(try await bench.sheaf("wait", "last", "--timeout", "30s").code == 6)
            let again = try await bench.sheaf("cancel", "last")
            #expect(again.code == 4)
            #expect(!again.talk.isEmpty)
        }
    }

    @Test("A time-out exits with 7") func timedOut() async throws {
        try await Workbench.with { bench in
            let create = try await bench.sheaf("create", "words", "-", "--wait", "--timeout", "500ms", input: "a\n")
            #expect(create.code == 7)
            #expect(create.lines.count == 1)
            let wait = try await bench.sheaf("wait", "last", "--timeout", "500ms", "--json")
            #expect(wait.code == 7)
            #expect(try wait.json["status"] == "pending")
        }
    }

    @Test("An unknown batch exits with 5", arguments: ["status", "results", "cancel", "wait", "watch"])
    func notFound(command: String) async throws {
        try await Workbench.with { bench in
            for id in ["nosuch", "last"] {
                let run = try await bench.sheaf(command, id, limit: .seconds(20))
                #expect(run.code == 5)
                #expect(run.output.isEmpty)
                #expect(run.talk.hasPrefix("sheaf: "))
            }
        }
    }

    @Test("An unknown flow exits with 5 and lists the known flows") func unknownFlowNamesTheKnownOnes() async throws {
        try await Workbench.with { bench in
            for arguments in [["create", "nosuch", "-"], ["run", "--flow", "nosuch"]] {
                let run = try await bench.sheaf(arguments, input: "x")
                #expect(run.code == 5)
                #expect(run.talk.contains("picky"))
            }
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }

    @Test("A mistyped command gets the nearest one") func mistypedCommands() async throws {
        try await Workbench.with { bench in
            let help = try await bench.sheaf("help", "stats")
            #expect(help.code == 64 && help.output.isEmpty)
            #expect(help.talk.hasPrefix("sheaf: there is no command 'stats'; did you mean 'status'?"))
            let command = try await bench.sheaf("stats")
            #expect(command.code == 5)
            #expect(command.talk.contains("did you mean the command 'sheaf status'?"), "\(command.talk)")
            let flow = try await bench.sheaf("run", "--flow", "stats")
            #expect(flow.code == 5 && !flow.talk.contains("sheaf status"))
        }
    }

    @Test("An invalid command line exits with 64, an invalid configuration with 78") func usageErrors() async throws {
        try await Workbench.with { bench async throws in
            let incomplete = try await bench.sheaf("status")
            #expect(incomplete.code == 64 && incomplete.talk.hasPrefix("sheaf: missing argument '<batch>'"))
            #expect(incomplete.talk.hasSuffix("'sheaf status --help' shows the arguments and examples\n"))
            let broker = try await bench.sheaf("list", "--broker", "amqp:/me:geheim@host/")
            #expect(broker.code == 78 && !broker.talk.contains("geheim"))
            #expect(broker.talk.contains("expected amqp://user:password@host:port/vhost"), "\(broker.talk)")
            #expect(try await bench.sheaf("create", "echo", "x", "--error-policy", "never").code == 64)
            #expect(try await bench.sheaf("list", "--set", "nonsense=1").code == 78)
            #expect(try await bench.sheaf("list", "--config", "nosuch.yaml").code == 78)
        }
    }

    @Test("An unreachable broker exits with 3 within seconds") func unreachableBrokerFailsInSeconds() async throws {
        try await Workbench.with { bench in
            let url = "amqp://user:geheim@127.0.0.1:1/%2f"
            for command in ["list", "doctor"] {
                let run = try await bench.sheaf(command, "--broker", url, limit: .seconds(20))
                #expect(run.code == 3)
                #expect(!(run.talk + run.output).contains("geheim"))
            }
        }
    }

    @Test("Data goes to standard output and messages to standard error") func dataAndMessagesAreApart() async throws {
        try await Workbench.with { bench in
            let create = try await bench.sheaf("create", "echo", "-", input: "a\nb\n")
            #expect(create.lines.count == 1)
            #expect(Name(create.lines[0]) != nil)
            #expect(create.talk.contains("2 tasks"))
            let quiet = try await bench.sheaf("create", "echo", "-", "--quiet", input: "a\n")
            #expect(quiet.talk.isEmpty)
            #expect(quiet.lines.count == 1)
            let run = try await bench.sheaf("run", "--until-empty")
            #expect(run.output.isEmpty)
            #expect(run.talk.contains("ran 3 tasks"))
            for command in ["list", "doctor", "validate"] {
                #expect(try await bench.sheaf(command, "--json").json != .null)
            }
            for arguments in [("status", "last"), ("wait", "last"), ("watch", "last"), ("results", "last")] {
                #expect(try await bench.sheaf(arguments.0, arguments.1, "--json").json != .null)
            }
        }
    }

    @Test("Colours are used on a terminal only, unless NO_COLOR is set") func colours() async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "echo", "-", input: "a\n")
            try await bench.sheaf("run", "--until-empty")
            for command in ["status", "wait", "watch"] {
                let run = try await bench.sheaf(command, "last")
                #expect(!(run.output + run.talk).contains("\u{1B}"))
            }
            // On a terminal there is colour, unless NO_COLOR is set.
            let painted = try await bench.shell(#"script -qec "$SHEAF status last" /dev/null"#)
            #expect(painted.output.contains("\u{1B}[32m"))
            let plain = try await bench.shell(#"NO_COLOR=1 script -qec "$SHEAF status last" /dev/null"#)
            #expect(!plain.output.contains("\u{1B}[3"))
        }
    }

    @Test("The version, the help and the completion script are printed") func versionAndHelp() async throws {
        try await Workbench.with { bench in
            #expect(try await bench.sheaf("--version").code == 0)
            for arguments in [["--help"], ["help", "exit-codes"], ["create", "--help"]] {
                let run = try await bench.sheaf(arguments)
                #expect(run.code == 0)
                #expect(run.talk.isEmpty)
                #expect(run.lines.count > 10)
            }
            #expect(try await bench.sheaf("exit-codes").lines.count == 17)
            #expect(try await bench.sheaf("--generate-completion-script", "bash").output.contains("_sheaf"))
        }
    }
}
