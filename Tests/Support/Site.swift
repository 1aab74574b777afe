import Foundation
package import Sheaf
package import SheafCore
package import SheafTestTools
package import Testing

/// A workbench with a broker: an embedded one in its own folder, or a namespace of its own on the tests' RabbitMQ.
package struct Site: Sendable {
    package let bench: Workbench
    /// The broker, for what no command can do.
    package let broker: BrokerReference
    package let namespace: Name
    /// The built-in flow `echo`.
    package let echo: Name

    private static let configuration = #"""
        flows:
          # Writes the index of each task that begins and ends to a file.
          noted:
            exec: ["bash", "-c", 'echo "$SHEAF_TASK_INDEX" >> begun; sleep 0.05; echo "$SHEAF_TASK_INDEX" >> ended']
            retries: 0
          # Writes its start time; the record with "bad" fails once three workers (the parent processes) have begun tasks.
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
          # Fails for records with "bad" until the file "fixed" exists.
          fixable: { exec: ["bash", "-c", "[ -e fixed ] || ! grep -q bad"], retries: 0 }
          words: { exec: ["wc", "-w"] }
          # Writes how many of its tasks run, itself included.
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
          # Sleeps for the number of seconds in its record, and writes its start and its end.
          sleeper:
            exec: ["bash", "-c", 'read -r s; echo "$SHEAF_TASK_INDEX" >> begun; sleep "$s"; echo "$SHEAF_TASK_INDEX" >> ended']
            retries: 0
        """#

    /// Runs the body on a new site with a RabbitMQ node of its own, which the test may disturb.
    package static func with(_ node: RabbitMQNode, _ body: (Site) async throws -> Void) async throws {
        let namespace = try #require(Name("it-" + UUID().uuidString.lowercased()))
        let echo = Name("echo")
        let variables = ["SHEAF_NAMESPACE": namespace.text, "SHEAF_BROKER": node.url]
        try await Workbench.with(configuration: configuration, environment: variables) { bench in
            try await body(Site(bench: bench, broker: .rabbitMQ(url: node.url), namespace: namespace, echo: echo))
        }
    }

    /// Runs the body on a new site.
    package static func with(_ kind: BrokerKind, _ body: (Site) async throws -> Void) async throws {
        let namespace = try #require(Name("it-" + UUID().uuidString.lowercased()))
        let echo = Name("echo")
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
    package static var rabbitMQ: String {
        get throws {
            try #require(
                ProcessInfo.processInfo.environment["SHEAF_TEST_AMQP_URL"],
                "SHEAF_TEST_AMQP_URL is not set: run the tests by 'make test' or 'Tests/rabbitmq-node run swift test'"
            )
        }
    }

    /// Connects to the broker as a Swift program does.
    package func withClient(_ body: (SheafClient) async throws -> Void) async throws {
        try await SheafClient.withClient(broker: broker, namespace: namespace, body)
    }

    /// Runs `sheaf`.
    @discardableResult
    package func sheaf(
        _ arguments: String...,
        input: String? = nil,
        meanwhile: @escaping @Sendable (Int32) async throws -> Void = { _ in }
    ) async throws -> Workbench.Run {
        try await bench.sheaf(arguments, input: input, meanwhile: meanwhile)
    }

    /// Creates a batch; returns what `create --json` prints.
    @discardableResult
    package func create(
        _ arguments: String...,
        input: String? = nil,
        at place: SourceLocation = #_sourceLocation
    ) async throws -> JSONValue {
        let run = try await bench.sheaf(["create"] + arguments + ["--json"], input: input)
        #expect(run.code == 0, "\(run.talk)", sourceLocation: place)
        return try run.json
    }

    /// Runs three workers at once until every batch is finished; returns their exit codes and output.
    package func work(_ arguments: String...) async throws -> [Workbench.Run] {
        try await withThrowingTaskGroup(of: Workbench.Run.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    try await bench.sheaf(["run", "--until-empty"] + arguments, limit: .seconds(300))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// The status of a batch, by default of the newest one.
    package func status(of batch: String = "last") async throws -> (json: JSONValue, counts: BatchCounts) {
        let json = try await sheaf("status", batch, "--json").json
        return (json, BatchCounts(json: json["counts"] ?? [:]))
    }

    /// The results so far of a batch, by default of the newest one, ordered by index.
    package func rows(of batch: String = "last") async throws -> [JSONValue] {
        let run = try await bench.sheaf(["results", batch, "--ordered"], limit: .seconds(300))
        #expect(run.code == 0, "\(run.talk)")
        return try run.lines.map { try JSON.parse($0) }
    }

    /// Checks that a batch (by default the newest one) is complete, with these counts and one row for each index.
    ///
    /// Returns the rows.
    @discardableResult
    package func complete(
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

    /// The indices that a flow has written to a file, in order of time.
    package func noted(_ file: String) throws -> [Int] {
        try bench.lines(of: file).compactMap { Int($0) }
    }
}
