import Foundation
import Sheaf
import SheafBroker
import SheafCore
import SheafDispatch
import SheafFlows
import SheafSettings
import SheafTestSupport
import SheafTestTools
import Testing

@testable import SheafServer

/// Requests that schemathesis makes from the description of the API, valid and invalid ones, to a server with batches.
@Suite("The description of the API, by schemathesis", .timeLimit(.minutes(9)))
struct SchemathesisTests {
    @Test("The server answers as its description says, to valid and to invalid requests")
    func conformance() async throws {
        let program = try await Schemathesis.program.value
        try await Stage.with(.embedded, timeout: .seconds(480)) { stage in
            try await stage.client { client in
                let flows = try ServerTestBench.echo
                let secret = ServerTestBench.writer
                try await ServerTestBench.with(on: client) { options in
                    options.flows = flows
                    options.dispatchers = [RequestBench.served(on: client)]
                    options.tokens = [ServerOptions.Token(name: "writer", secret: secret, scope: .write)]
                } _: { server in
                    try await Self.prepare(stage, client)
                    let queue = try await BrokerRequestQueue.open(client: client, name: RequestBench.dispatcher)
                    try await queue.add([Record(id: "order-1", kind: .json, bytes: Array("{}".utf8))])
                    await queue.close()
                    let work = Task { try await stage.work([Self.asker, Self.echo]) { $0.untilEmpty = false } }
                    try await until("a task asks") { try await !client.questions().isEmpty }
                    try await until("there are dead letters") { try await client.deadLetters().count == 3 }
                    try await Workbench.with(configuration: "") { bench in
                        let run = try await bench.shell(
                            Schemathesis.command(program, port: server.port, token: secret),
                            limit: .seconds(400)
                        )
                        #expect(run.code == 0, "\(run.output)\(run.talk)")
                        // The description itself is read, not tested.
                        let calls = try bench.lines(of: "calls").map { $0.split(separator: " ") }
                        let answered = Set(calls.filter { $0[1].hasPrefix("2") }.map { String($0[0]) })
                        let operations = Set(APIDescription.operations.map(\.id)).subtracting(["getDescription"])
                        #expect(operations.subtracting(answered) == [], "these were never answered with success")
                    }
                    work.cancel()
                    _ = await work.result
                }
            }
        }
    }

    /// A flow that returns its record.
    private static var echo: FlowDefinition {
        FlowDefinition(name: "echo", flow: ClosureFlow { task in .value(try task.record.json) })
    }

    /// A flow whose tasks ask and wait.
    private static var asker: FlowDefinition {
        get throws {
            try FlowDefinition.work { task in
                guard let asker = task.asker else { throw FlowError(type: "not-interactive", message: "no asker") }
                return .text(try await asker.ask(Question("Why?")))
            }
        }
    }

    /// Creates a batch that no worker runs, with submissions: one that a provider works on, and unclear ones.
    private static func submit(on client: SheafClient) async throws {
        let batch = try await client.create(BatchPlan(flow: "summarize", id: "submitted"), records: records(3))
        let ends: [(key: String, event: SubmissionEntry.Event)] = [
            ("running", .created(id: "batch_1", requests: 1)), ("unclear1", .unclear("no answer")),
            ("unclear2", .unclear("no answer")),
        ]
        for (key, event) in ends {
            for event in [SubmissionEntry.Event.announced(address: "http://127.0.0.1:9/v1"), event] {
                let entry = SubmissionEntry(
                    key: key,
                    batch: batch.id,
                    flow: batch.flow,
                    at: .now,
                    by: "w",
                    event: event
                )
                try await client.broker.append(entry.message, to: client.names.submissions)
            }
        }
    }

    /// Creates dead letters, a batch that has ended with a failure, paused ones, one with submissions, and one whose
    /// tasks will ask.
    private static func prepare(_ stage: Stage, _ client: SheafClient) async throws {
        let failing = try FlowDefinition.work { task in
            if task.record.id != "r0" { throw FlowError(type: "odd", message: "\(task.record.id) is refused") }
            return .value(["n": 1])
        }
        _ = try await client.create(plan { $0.id = "ended" }, records: records(3))
        _ = try await stage.work([failing])
        let tagged = BatchOptions(tags: ["team": "search"])
        for id: Name in ["open", "spare1", "spare2", "spare3"] {
            _ = try await client.create(BatchPlan(flow: "echo", id: id, options: tagged), records: records(3))
            _ = try await client.pause(id.text)
        }
        try await submit(on: client)
        let buried = try await client.create(BatchPlan(flow: "echo"), records: records(1))
        let junk = Message(id: "j", type: "junk", body: Array("body".utf8))
        try await client.bury([junk, junk, junk], in: buried)
        _ = try await client.create(
            plan {
                $0.id = "asking"
                $0.options.isInteractive = true
            },
            records: records(2)
        )
    }
}

/// The program schemathesis in a Python environment of its own.
private enum Schemathesis {
    private static let package = "schemathesis==4.32.5"
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().path

    /// The program, installed at first use and kept in the build folder.
    static let program = Task {
        let home = folder + "/../../.build/python-\(package)"
        try await Workbench.with(configuration: "") { bench in
            let run = try await bench.shell(
                """
                [ -e '\(home)/is-complete' ] && exit 0
                python3 -m venv --clear '\(home)' &&
                '\(home)/bin/python' -m pip install --quiet --disable-pip-version-check '\(package)' &&
                touch '\(home)/is-complete'
                """,
                limit: .seconds(180)
            )
            try #require(run.code == 0, "\(package) cannot be installed from PyPI: \(run.output)\(run.talk)")
        }
        return home + "/bin/schemathesis"
    }

    /// Returns the command line.
    static func command(_ program: String, port: Int, token: String) -> String {
        """
        SHEAF_CALLS=calls SHEAF_TOKEN='\(token)' PYTHONPATH='\(folder)' SCHEMATHESIS_HOOKS=schemathesis_hooks \
        PYTHONDONTWRITEBYTECODE=1 '\(program)' --config-file '\(folder)/schemathesis.toml' run --no-color \
        'http://127.0.0.1:\(port)/openapi.json'
        """
    }
}
