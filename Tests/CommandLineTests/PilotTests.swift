import SheafCore
import SheafTestTools
import Testing

/// Pilots as a user sees them.
@Suite("Pilots on the command line", .timeLimit(.minutes(2))) struct PilotTests {
    /// Ten records; the fifth and the last are refused.
    private static let input = String(repeating: "good\ngood\ngood\ngood\nnot\n", count: 2)

    @Test(
        "A command that waits for a batch ends with its pilot, and its exit code reports the pilot",
        arguments: [(4, Int32(0)), (5, 1)]
    )
    func waiting(pilot: Int, code: Int32) async throws {
        try await Workbench.with { bench in
            let arguments = [
                "create", "picky", "-", "--no-shuffle", "--pilot", "\(pilot)", "--batch-id", "b1", "--wait",
            ]
            let create = try await bench.sheaf(arguments, input: Self.input) { _ in
                try await bench.until("the batch exists") { try await bench.sheaf("status", "b1").code == 0 }
                #expect(try await bench.sheaf("run", "--until-empty", "--batch", "b1").code == code)
            }
            #expect(create.code == code && create.lines == ["b1"], "\(create.talk)")
            #expect(create.talk.contains("the first \(pilot) tasks run as a pilot, then the batch pauses"))
            #expect(create.talk.contains("the pilot is over: 4 of \(pilot) tasks succeeded"), "\(create.talk)")
            #expect(create.talk.contains("'sheaf resume b1' continues it"))
            for command in ["wait", "watch"] {
                let run = try await bench.sheaf(command, "b1")
                #expect(run.code == code && run.talk.contains("the pilot is over"), "\(run.talk)")
            }
            let list = try await bench.sheaf("list")
            #expect(list.output.contains("paused (pilot over)"), "\(list.output)")
            #expect(try await bench.sheaf("resume", "b1").code == 0)
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "b1").code == 1)
            let status = try await bench.sheaf("status", "b1", "--json").json
            #expect(status["status"] == "completed" && status["counts"]?["succeeded"] == 8)
            #expect(status["pilot"]?["state"] == "over" && status["pilot"]?["succeeded"] == 4)
            let events = try await bench.sheaf("events", "b1")
            #expect(events.output.contains("piloted  4 of \(pilot) tasks succeeded"), "\(events.output)")
        }
    }

    @Test("A pilot with enough successes does not pause the batch") func passing() async throws {
        try await Workbench.with { bench in
            let arguments = ["create", "picky", "-", "--no-shuffle", "--pilot", "5", "--pilot-pass", "80%"]
            let create = try await bench.sheaf(arguments, input: Self.input)
            #expect(create.talk.contains("then the batch pauses unless 80% of them succeed"), "\(create.talk)")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "last").code == 1)
            let status = try await bench.sheaf("status", "last", "--json").json
            #expect(status["status"] == "completed" && status["pilot"]?["pass"] == "80%", "\(status)")
        }
    }

    @Test("The status projects failures, tokens and cost from the pilot") func projection() async throws {
        try await ModelServer.with { server in
            let configuration = """
                prices: { models: { m: { input: 1000, output: 10000 } } }
                flows:
                  ask:
                    chat: { base_url: \(server.url)/v1, api_key: "${CHAT_KEY}", model: m, prompt: "{{n}}" }
                """
            try await Workbench.with(configuration: configuration) { bench in
                let input = ["1", "2", "4"] + Array(repeating: "1", count: 27)
                try bench.write(input.map { #"{"n": "\#($0)"}"# + "\n" }.joined(), to: "in.jsonl")
                try await bench.sheaf("create", "ask", "in.jsonl", "--no-shuffle", "--pilot", "3")
                let before = try await bench.sheaf("status", "last")
                #expect(
                    before.output.contains("\npilot    3 tasks: 0 succeeded, 0 failed, 3 open\n"),
                    "\(before.output)"
                )
                try await bench.sheaf(["run", "--until-empty"], environment: ["CHAT_KEY": ModelServer.key])
                let status = try await bench.sheaf("status", "last")
                // Number n takes n + 1 tokens in and n % 7 + 1 out.
                let lines = [
                    "pilot       3 tasks: 3 succeeded, 0 failed (0%); 3 cached_tokens, 10 input_tokens, 10 output_tokens, "
                        + "20 total_tokens; cost 0.11 USD",
                    "projection  30 tasks: about 0 failed; 30 cached_tokens, 100 input_tokens, 100 output_tokens, "
                        + "200 total_tokens; cost 1.10 USD",
                ]
                for line in lines { #expect(status.lines.contains(line), "\(status.output)") }
                let pilot = try await bench.sheaf("status", "last", "--json").json["pilot"]
                #expect(pilot?["state"] == "waiting" && pilot?["tasks"] == 3 && pilot?["succeeded"] == 3)
                let projection = pilot?["projection"]
                #expect(projection?["total"] == 30 && projection?["failed"] == 0)
                #expect(projection?["usage"]?["output_tokens"] == 100)
                #expect(abs((projection?["cost"]?["amount"]?.doubleValue ?? 0) - 1.1) < 1e-9)
                #expect(abs((pilot?["cost"]?["amount"]?.doubleValue ?? 0) - 0.11) < 1e-9)
                let unknown = try await bench.sheaf("status", "last", "--set", "prices.models={}")
                #expect(unknown.output.contains("200 total_tokens; cost unknown: prices has no model 'm'"))
            }
        }
    }

    @Test(
        "Options of a pilot that are wrong are refused",
        arguments: [
            (["--pilot", "0"], "--pilot must be from 1 to 100000"), (["--pilot", "100001"], "--pilot must be from 1"),
            (["--pilot-pass", "5%"], "--pilot-pass needs --pilot"),
            (["--pilot", "5", "--pilot-pass", "5"], "a percentage from 0% to 100%"),
        ]
    )
    func wrong(options: [String], message: String) async throws {
        try await Workbench.with { bench in
            let create = try await bench.sheaf(["create", "picky", "-"] + options, input: Self.input)
            #expect(create.code == 64 && create.talk.contains(message), "\(create.talk)")
        }
    }
}
