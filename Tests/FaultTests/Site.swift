import Foundation
import Sheaf
import SheafCore
import SheafTesting
import Testing

/// The real command on both brokers, several processes at a time.
///
/// One test after the other: each has processes enough to keep a small machine busy, and some measure times.
@Suite(.serialized, .timeLimit(.minutes(2))) enum Integration {}

/// The two brokers that everything must work on.
enum BrokerKind: String, CaseIterable, CustomTestStringConvertible {
    case embedded
    case rabbitMQ

    var testDescription: String { rawValue }
}

/// A workbench with a broker: a folder's own embedded one, or a namespace of its own on the tests' RabbitMQ.
struct Site: Sendable {
    let bench: Workbench
    /// The broker, for what no command does.
    let broker: BrokerReference
    let namespace: Name
    /// The flow that is there without a definition.
    let echo: Name

    private static let configuration = #"""
        flows:
          # Notes who begins and who ends in a file.
          noted:
            exec: ["bash", "-c", 'echo "$SHEAF_TASK_INDEX" >> begun; sleep 0.05; echo "$SHEAF_TASK_INDEX" >> ended']
            retries: 0
          # Notes when it begins; the record with "bad" fails, once three workers (the parents) have begun tasks.
          fragile:
            exec:
              - bash
              - -c
              - |
                echo "$EPOCHREALTIME $PPID $SHEAF_TASK_INDEX" >> begun
                if grep -q bad; then
                    until [ "$(cut -d' ' -f2 begun | sort -u | wc -l)" -ge 3 ]; do sleep 0.01; done
                    exit 1
                fi
                sleep 0.04
            retries: 0
          # Fails for records with "bad" until there is a file "mended".
          mendable: { exec: ["bash", "-c", "[ -e mended ] || ! grep -q bad"], retries: 0 }
          words: { exec: ["wc", "-w"] }
          # Notes how many of its tasks run, itself included.
          counted:
            exec: ["bash", "-c", 'mkdir -p now; : > "now/$SHEAF_TASK_INDEX"; ls now | wc -l >> counts; sleep 0.2; rm "now/$SHEAF_TASK_INDEX"']
            retries: 0
          # Asks two questions and returns both answers.
          asker:
            process:
              - python3
              - -c
              - |
                import json, sys
                def ask(**question):
                    print(json.dumps({"ask": question}), flush=True)
                    return json.loads(sys.stdin.readline())["answer"]
                for line in sys.stdin:
                    task = json.loads(line)
                    answers = [ask(question="keep it?", choices=["yes", "no"]), ask(question="why?")]
                    print(json.dumps({"task_id": task["task_id"], "output": answers}), flush=True)
          # Sleeps for as many seconds as the record says, and notes that it began and that it ended.
          sleeper:
            exec: ["bash", "-c", 'read -r s; echo "$SHEAF_TASK_INDEX" >> begun; sleep "$s"; echo "$SHEAF_TASK_INDEX" >> ended']
            retries: 0
        """#

    /// Runs the body on a new site at a RabbitMQ of its own, which may be disturbed.
    static func with(_ node: RabbitMQNode, _ body: (Site) async throws -> Void) async throws {
        let namespace = try #require(Name("it-" + UUID().uuidString.lowercased()))
        let echo = try #require(Name("echo"))
        let variables = ["SHEAF_NAMESPACE": namespace.text, "SHEAF_BROKER": node.url]
        try await Workbench.with(configuration: configuration, environment: variables) { bench in
            try await body(Site(bench: bench, broker: .rabbitMQ(url: node.url), namespace: namespace, echo: echo))
        }
    }

    /// Runs the body on a new site.
    static func with(_ kind: BrokerKind, _ body: (Site) async throws -> Void) async throws {
        let namespace = try #require(Name("it-" + UUID().uuidString.lowercased()))
        let echo = try #require(Name("echo"))
        var variables = ["SHEAF_NAMESPACE": namespace.text]
        if kind == .rabbitMQ { variables["SHEAF_BROKER"] = try rabbitMQ }
        try await Workbench.with(configuration: configuration, environment: variables) { bench in
            let broker: BrokerReference =
                switch kind {
                case .embedded: .embedded(directory: "\(bench.folder)/.sheaf")
                case .rabbitMQ: .rabbitMQ(url: try rabbitMQ)
                }
            try await body(Site(bench: bench, broker: broker, namespace: namespace, echo: echo))
        }
    }

    /// The tests' RabbitMQ.
    static var rabbitMQ: String {
        get throws {
            try #require(
                ProcessInfo.processInfo.environment["SHEAF_TEST_AMQP_URL"],
                "SHEAF_TEST_AMQP_URL is not set: run the tests by 'make test' or 'Tests/rabbitmq-node run swift test'"
            )
        }
    }

    /// Connects to the broker as a program would.
    func withClient(_ body: (SheafClient) async throws -> Void) async throws {
        try await SheafClient.withClient(broker: broker, namespace: namespace, body)
    }

    /// Runs `sheaf`.
    @discardableResult
    func sheaf(
        _ arguments: String...,
        input: String? = nil,
        meanwhile: @escaping @Sendable (Int32) async throws -> Void = { _ in }
    ) async throws -> Workbench.Run {
        try await bench.sheaf(arguments, input: input, meanwhile: meanwhile)
    }

    /// Creates a batch; returns what `create --json` prints.
    @discardableResult
    func create(
        _ arguments: String...,
        input: String? = nil,
        at place: SourceLocation = #_sourceLocation
    ) async throws -> JSONValue {
        let run = try await bench.sheaf(["create"] + arguments + ["--json"], input: input)
        #expect(run.code == 0, "\(run.talk)", sourceLocation: place)
        return try run.json
    }

    /// Runs three workers at once until all is done; returns what they left.
    func work(_ arguments: String...) async throws -> [Workbench.Run] {
        try await withThrowingTaskGroup(of: Workbench.Run.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    try await bench.sheaf(["run", "--until-empty"] + arguments, limit: .seconds(300))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Where a batch, or else the newest one, stands.
    func status(of batch: String = "last") async throws -> (json: JSONValue, counts: BatchCounts) {
        let json = try await sheaf("status", batch, "--json").json
        return (json, BatchCounts(json: json["counts"] ?? [:]))
    }

    /// The results of a batch, or else the newest one, by index, as many as there are.
    func rows(of batch: String = "last") async throws -> [JSONValue] {
        let run = try await bench.sheaf(["results", batch, "--ordered"], limit: .seconds(300))
        #expect(run.code == 0, "\(run.talk)")
        return try run.lines.map { try JSON.parse($0) }
    }

    /// Checks that a batch, or else the newest one, is complete, with these counts and one row for each index; returns
    /// the rows.
    @discardableResult
    func complete(
        _ counts: BatchCounts,
        of batch: String = "last",
        at place: SourceLocation = #_sourceLocation
    ) async throws -> [JSONValue] {
        let status = try await status(of: batch)
        #expect(status.json["status"] == "completed", sourceLocation: place)
        #expect(status.json["total"]?.intValue == counts.total, sourceLocation: place)
        #expect(status.counts == counts, sourceLocation: place)
        let rows = try await rows(of: batch)
        #expect(rows.compactMap { $0["index"]?.intValue } == Array(0..<counts.total), sourceLocation: place)
        for (state, count) in [("succeeded", counts.succeeded), ("failed", counts.failed)] {
            #expect(rows.count { $0["status"]?.stringValue == state } == count, sourceLocation: place)
        }
        return rows
    }

    /// The indices that a flow has noted in a file, in the order of time.
    func noted(_ file: String) throws -> [Int] {
        try bench.lines(of: file).compactMap { Int($0) }
    }
}
