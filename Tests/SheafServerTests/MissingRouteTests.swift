import Foundation
import Sheaf
import SheafBatches
import SheafCore
import SheafSources
import SheafTestSupport
import Testing

@Suite("API: tasks that the broker lost") struct MissingRouteTests {
    private static let lines = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n"

    @Test("Lost tasks are published again from the file that has their records", arguments: BrokerKind.allCases)
    func publishesAgain(kind: BrokerKind) async throws {
        try await Self.with(kind) { api, batch, file in
            let path = "batches/\(batch.id)/retry"
            let waiting = try await api.send("POST", path, ["missing": true])
            #expect(waiting.status == 409 && waiting.detail.contains("3 wait in their queue"), "\(waiting.json.text)")
            #expect(waiting["next"]?.stringValue?.contains(#""force":true"#) == true)
            try await api.lose(batch)

            try Data((Self.lines + "{\"id\":\"d\"}\n").utf8).write(to: file)
            let changed = try await api.send("POST", path, ["missing": true])
            #expect(changed.status == 422 && changed.detail.contains("has changed"), "\(changed.json.text)")
            try FileManager.default.removeItem(at: file)
            #expect(try await api.send("POST", path, ["missing": true]).status == 422)
            #expect(try await api.client.batch(batch.id.text).info.generation == 0)

            try await Self.write(file)
            let published = try await api.send("POST", path, ["missing": true])
            #expect(published.status == 202, "\(published.json.text)")
            #expect(published["retried"] == 3 && published["generation"] == 1)
            let tasks = try await api.client.tasks(of: batch.id.text, flow: batch.flow.text, generation: 1)
            #expect(tasks.map(\.record.id) == ["a", "b", "c"])
        }
    }

    @Test("With force, tasks that may not be lost are published again too") func force() async throws {
        try await Self.with(.embedded) { api, batch, _ in
            let path = "batches/\(batch.id)/retry"
            let forced = try await api.send("POST", path, ["missing": true, "force": true])
            #expect(forced.status == 202 && forced["retried"] == 3, "\(forced.json.text)")
        }
    }

    @Test("Records that are kept nowhere, and a body that makes no selection, are refused") func refuses() async throws
    {
        try await APIStage.with { api in
            let batch = try await api.client.create(plan(), records: records(2))
            try await api.lose(batch)
            let path = "batches/\(batch.id)/retry"
            let unknown = try await api.send("POST", path, ["missing": true])
            #expect(unknown.status == 409 && unknown.detail.contains("cannot read the input"), "\(unknown.json.text)")
            for (body, word) in [
                (["missing": true, "indexes": [1]] as JSONValue, "cannot be combined"), (["force": true], "missing"),
                (["missing": "yes"], "true or false"), (["missing": true, "filter": ["status": "failed"]], "combined"),
            ] {
                let answer = try await api.send("POST", path, body)
                #expect(answer.status == 400 && answer.detail.contains(word), "\(body.text): \(answer.json.text)")
            }
            let failed = try await api.send("POST", path, ["missing": false])
            #expect(failed.status == 202 && failed["retried"] == 0, "false selects what failed")
        }
    }

    /// Runs the body with a batch that was created from a file, in a random order.
    private static func with(
        _ kind: BrokerKind,
        _ body: @escaping @Sendable (APIStage, CreatedBatch, URL) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sheaf-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("rows.jsonl")
        try await write(file)
        try await APIStage.with(kind) { api in
            let configuration = SourceConfiguration(inputs: [file.path], seed: 5)
            let source = try await RecordSource.open(configuration)
            let batch = try await api.client.create(
                plan { $0.input = BatchInput(source: configuration, fingerprint: source.fingerprint) },
                from: source.chunks()
            )
            try await body(api, batch, file)
        }
    }

    /// Writes the file, always with the same time, which is part of its fingerprint.
    private static func write(_ file: URL) async throws {
        try Data(lines.utf8).write(to: file)
        let time = Date(timeIntervalSince1970: 1_700_000_000)
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: file.path)
    }
}

extension APIStage {
    /// Removes the waiting tasks of a batch from the broker.
    fileprivate func lose(_ batch: CreatedBatch) async throws {
        try await client.broker.purgeQueue(client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0))
    }
}
