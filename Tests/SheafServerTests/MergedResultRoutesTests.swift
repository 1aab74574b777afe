import Foundation
import Sheaf
import SheafBatches
import SheafCore
import SheafSources
import SheafTestSupport
import Testing

@Suite("Results joined with their input") struct MergedResultRoutesTests {
    private static let table = """
        id,name,size
        a,"Smith, Jr",12345678901234567890
        b,"line
        break",2
        c,"<b>",3

        """

    /// Serves a batch that was created from a file, in a random order.
    private static func with(
        _ name: String,
        _ text: String,
        parameters: JSONValue = [:],
        _ body: @escaping @Sendable (SheafClient, CreatedBatch, URL, JobBench) async throws -> Void
    ) async throws {
        try await Stage.with(.embedded) { stage in
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sheaf-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let file = folder.appendingPathComponent(name)
            try Data(text.utf8).write(to: file)
            try await stage.client { client in
                let configuration = SourceConfiguration(inputs: [file.path], seed: 5)
                let source = try await RecordSource.open(configuration)
                let batch = try await client.create(
                    plan { plan in
                        plan.id = "joined"
                        plan.options.errorPolicy = .continue
                        plan.options.parameters = parameters
                        plan.input = BatchInput(source: configuration, fingerprint: source.fingerprint)
                    },
                    from: source.chunks()
                )
                try await JobBench.with(client) { try await body(client, batch, file, $0) }
            }
        }
    }

    @Test("A table keeps its columns and its order")
    func csv() async throws {
        try await Self.with("rows.csv", Self.table) { client, batch, _, server in
            try await client.runByHand(batch) { $0.record.id == "b" ? .failed : .succeeded }
            let answer = try await server.get("batches/joined/results?merge=input&format=csv")
            let expected = """
                id,name,size,_status,_output,_error
                a,"Smith, Jr",12345678901234567890,succeeded,1,
                b,"line
                break",2,failed,,broken: on purpose
                c,<b>,3,succeeded,1,

                """
            #expect(answer.text == expected)
            #expect(answer.headers["x-last-line"] == "3")
            let failed = try await server.get("batches/joined/results?merge=input&status=failed")
            #expect(failed.lines.count == 1)
            #expect(try JSON.parse(failed.text)["name"] == "line\nbreak")
            #expect(try JSON.parse(failed.text)["_error"]?["type"] == "broken")
        }
    }

    @Test("Records of any shape are joined, also while the batch runs and with several variants")
    func jsonLines() async throws {
        let lines = """
            {"id":"a","n":12345678901234567890,"_status":"mine"}
            [1,2]
            not json
            {"id":"d","x":null}

            """
        try await Self.with("rows.jsonl", lines, parameters: ["k": [1, 2]]) { client, batch, _, server in
            try await client.runByHand(batch, atMost: 5)
            let some = try await server.get("batches/joined/results?merge=input")
            #expect(some.lines.count == 7 && some.headers["x-incomplete"] == "true")
            try await client.runByHand(batch)
            _ = try await client.wait(for: "joined", timeout: .seconds(30))
            let all = try await server.get("batches/joined/results?merge=input")
            #expect(all.lines.count == 8 && all.headers["x-incomplete"] == "false")
            #expect(
                all.lines.first
                    == #"{"id":"a","n":12345678901234567890,"_parameters":{"k":1},"_status":"succeeded","_output":1,"#
                    + #""_error":null}"#
            )
            #expect(try JSON.parse(all.lines[2])["_record"] == [1, 2])
            #expect(try JSON.parse(all.lines[4])["_error"]?["type"] == "invalid-record")
            let table = try await server.get("batches/joined/results?merge=input&format=csv")
            #expect(table.lines.first == "id,n,_record,x,_parameters,_status,_output,_error")
        }
    }

    @Test("Joining is refused if the input is missing, has changed or was not recorded")
    func refused() async throws {
        try await Self.with("rows.csv", Self.table) { client, batch, file, server in
            try await client.runByHand(batch)
            try Data((Self.table + "d,x,4\n").utf8).write(to: file)
            let changed = try await server.get("batches/joined/results?merge=input")
            #expect(changed.status == 422)
            #expect(try changed.json["detail"]?.stringValue?.contains("has changed") == true)
            try FileManager.default.removeItem(at: file)
            let missing = try await server.get("batches/joined/results?merge=input")
            #expect(missing.status == 422)
            #expect(try missing.json["detail"]?.stringValue?.contains("was created on") == true)
            let other = try await client.create(plan(), records: records(1))
            #expect(try await server.get("batches/\(other.id)/results?merge=input").status == 409)
        }
    }
}
