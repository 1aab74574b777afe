import Sheaf
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("Routes of tasks and errors") struct JobRoutesTests {
    /// Runs a batch of ten tasks, some of which fail, and serves it.
    private static func with(_ body: @escaping @Sendable (JobBench) async throws -> Void) async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                let ids = (0..<10).map { $0 == 3 ? "dir/a b.txt:3" : "\(100 + $0)" }
                let source = AsyncStream<Record> { continuation in
                    for id in ids {
                        continuation.yield(Record(id: id, kind: .text, bytes: Array("<b>\(id)</b>".utf8)))
                    }
                    continuation.finish()
                }
                _ = try await client.create(
                    plan { ($0.id, $0.options.errorPolicy) = ("shown", .continue) },
                    records: source
                )
                let flow = try FlowDefinition.work(retries: 1) { task in
                    if task.index == 7 { throw FlowError(type: "other", message: "</script><b>") }
                    if task.index % 3 == 0 {
                        let message = "line \(task.index) of '\(task.id)'"
                        throw FlowError(type: "broken", message: message, isRetryable: true)
                    }
                    return .json(Array(#"{"n":12345678901234567890}"#.utf8))
                }
                try await stage.work([flow])
                try await JobBench.with(client, body)
            }
        }
    }

    private static func indexes(_ answer: JobBench.Answer) throws -> [Int] {
        #expect(answer.status == 200, "\(answer.text)")
        return try (answer.json["jobs"]?.arrayValue ?? []).compactMap { $0["index"]?.intValue }
    }

    @Test("Tasks are listed by status, error type, group and text, with a cursor")
    func list() async throws {
        try await Self.with { server in
            let jobs = "batches/shown/jobs"
            #expect(try await Self.indexes(server.get(jobs)) == Array(0..<10))
            #expect(try await Self.indexes(server.get("\(jobs)?status=failed")) == [0, 3, 6, 7, 9])
            #expect(try await Self.indexes(server.get("\(jobs)?error_type=other")) == [7])
            #expect(try await Self.indexes(server.get("\(jobs)?q=dir%2Fa+b")) == [3])
            #expect(try await Self.indexes(server.get("\(jobs)?q=LINE%206")) == [6])
            #expect(try await Self.indexes(server.get("\(jobs)?status=pending,running&status=cancelled")).isEmpty)
            let first = try await server.get("\(jobs)?status=failed&limit=2")
            #expect(try Self.indexes(first) == [0, 3])
            let next = try #require(try first.json["next"]?.stringValue)
            let second = try await server.get("\(jobs)?status=failed&limit=2&after=\(next)")
            #expect(try Self.indexes(second) == [6, 7])
            // A row has no payload.
            #expect(!first.text.contains("<b>"))
            #expect(try first.json["jobs"]?.arrayValue?.first?["record"] == nil)
        }
    }

    @Test("A request with an unknown parameter or value is refused and names it")
    func refused() async throws {
        try await Self.with { server in
            for (query, part) in [
                ("jobs?stat=failed", "stat"), ("jobs?status=broken", "broken"), ("jobs?limit=0", "limit"),
                ("jobs?after=x", "after"), ("errors?q=1", "q"), ("results?format=xml", "xml"),
                ("results?after_line=1&format=json", "after_line"),
            ] {
                let answer = try await server.get("batches/shown/\(query)")
                #expect(answer.status == 400, "\(query)")
                #expect(answer.headers["content-type"] == "application/problem+json")
                #expect(try answer.json["detail"]?.stringValue?.contains(part) == true, "\(query)")
            }
            for path in ["jobs", "jobs/0", "errors", "results"] {
                #expect(try await server.get("batches/none/\(path)").status == 404)
            }
        }
    }

    @Test("A task is found by its index or its record's id and shows all its attempts")
    func single() async throws {
        try await Self.with { server in
            let answer = try await server.get("batches/shown/jobs/dir%2Fa%20b.txt%3A3")
            let job = try answer.json
            #expect(job["index"]?.intValue == 3 && job["status"]?.stringValue == "failed")
            #expect(job["record"]?["text"]?.stringValue == "<b>dir/a b.txt:3</b>")
            #expect(job["record"]?["truncated"]?.boolValue == false)
            #expect(job["history"]?.arrayValue?.compactMap { $0["attempt"]?.intValue } == [1, 2])
            #expect(job["error"]?["message"]?.stringValue == "line 3 of 'shown:3'")
            #expect(try await server.get("batches/shown/jobs/3").json == job)

            let success = try await server.get("batches/shown/jobs/1").json
            #expect(success["output"]?["text"]?.stringValue == #"{"n":12345678901234567890}"#)
            #expect(success["record"] == .null)
            // Digits are an index, unless the query says that they are a record's id.
            #expect(try await server.get("batches/shown/jobs/101").status == 404)
            #expect(try await server.get("batches/shown/jobs/101?by=record_id").json["index"]?.intValue == 1)
            #expect(try await server.get("batches/shown/jobs/nothing").status == 404)
            #expect(try await server.get("batches/shown/jobs/nothing?by=index").status == 400)
        }
    }

    @Test("The record and the output of a task can be downloaded")
    func downloads() async throws {
        try await Self.with { server in
            let record = try await server.get("batches/shown/jobs/3/record")
            #expect(record.text == "<b>dir/a b.txt:3</b>")
            #expect(record.headers["content-type"] == "text/plain; charset=utf-8")
            #expect(record.headers["content-disposition"] == "attachment; filename=\"shown-3-record.txt\"")
            #expect(record.headers["x-content-type-options"] == "nosniff")
            let output = try await server.get("batches/shown/jobs/1/output")
            #expect(output.text == #"{"n":12345678901234567890}"#)
            #expect(try await server.get("batches/shown/jobs/1/record").status == 404)
            #expect(try await server.get("batches/shown/jobs/3/output").status == 404)
        }
    }

    @Test("Failed tasks are grouped by their error, and a group lists its tasks")
    func groups() async throws {
        try await Self.with { server in
            let answer = try await server.get("batches/shown/errors")
            let groups = try answer.json["groups"]?.arrayValue ?? []
            #expect(groups.compactMap { $0["count"]?.intValue } == [4, 1])
            #expect(groups.first?["pattern"]?.stringValue == "line # of '…'")
            #expect(groups.first?["first"]?["record_id"]?.stringValue == "100")
            #expect(groups.last?["example"]?.stringValue == "</script><b>")
            #expect(try answer.json["failed"]?.intValue == 5)
            let group = try #require(groups.first?["group"]?.stringValue)
            #expect(try await Self.indexes(server.get("batches/shown/jobs?group=\(group)")) == [0, 3, 6, 9])
            #expect(try await Self.indexes(server.get("batches/shown/jobs?group=other")).isEmpty)
        }
    }
}
