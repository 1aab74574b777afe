import Foundation
import SheafCore
import Testing

@testable import SheafSources

/// Tests of what resuming relies on: reading the same items again, or detecting that the input has changed.
@Suite("Resuming") struct ResumingTests {
    private func open(
        _ configuration: SourceConfiguration,
        without ids: [String] = []
    ) async throws -> RecordSource {
        let excluded = ids.isEmpty ? nil : RecordIDSet(ids.map(RecordIDSet.Digest.init))
        return try await RecordSource.open(configuration, leavingOut: excluded)
    }

    @Test("Records are excluded by id before they are numbered and counted", arguments: [true, false])
    func leavesOut(shuffle: Bool) async throws {
        try await SourceFixture.with { fixture in
            let lines = (0..<2000).map { $0 == 9 ? "{" : "{\"id\":\"r\($0)\"}" }
            try fixture.write("a.jsonl", lines.joined(separator: "\n"))
            let gone = (0..<2000).filter { $0 % 3 == 0 }.map { "r\($0)" }
            let configuration = fixture.configuration("a.jsonl", shuffle: shuffle, seed: 5, maxRecords: 600)
            let source = try await open(configuration, without: gone)
            let items = try await source.items()
            #expect(items.map(\.index).sorted() == Array(0..<600))
            #expect(items.allSatisfy { item in item.record.map { !gone.contains($0.id) } ?? true })
            // Records that are not read are not counted; an invalid record is never excluded.
            #expect(await shuffle ? source.skipped == 666 : (290...310).contains(source.skipped))
            for position in [0, 1, 599, 600] {
                #expect(try await open(configuration, without: gone).items(from: position) == Array(items[position...]))
            }
            #expect(try await source.items() == items)
            #expect(try await source.checkStrictly().checked == 600)
        }
    }

    @Test("Excluding all records is an error", arguments: [true, false])
    func nothingLeft(shuffle: Bool) async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("a.jsonl", "{\"id\":1}\n{\"id\":2}\n")
            let error = await #expect(throws: SourceError.self) {
                _ = try await open(fixture.configuration("a.jsonl", shuffle: shuffle), without: ["1", "2", "3"]).items()
            }
            #expect(error?.code == .nothingLeft)
            #expect(error?.message.contains("2 records") == true)
        }
    }

    @Test("A set of ids contains exactly its ids")
    func idSet() {
        let ids = RecordIDSet((0..<1000).map { RecordIDSet.Digest("id\($0 * 2)") })
        #expect((0..<2000).allSatisfy { ids.contains("id\($0)") == $0.isMultiple(of: 2) })
        #expect(!RecordIDSet([]).contains(""))
    }

    @Test("A configuration and a fingerprint are decoded as they were encoded")
    func json() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("a.csv", "a,b\n1,2\n")
            var configuration = fixture.configuration(
                "a.csv",
                idField: "n",
                columns: ["n": "a"],
                shuffle: true,
                maxRecords: 3
            )
            configuration.seed = .max
            configuration.format = .csv
            let text = try JSON.parse(configuration.json.text)
            #expect(SourceConfiguration(json: text) == configuration)
            let fingerprint = try await open(configuration).fingerprint
            #expect(InputFingerprint(json: try JSON.parse(fingerprint.json.text)) == fingerprint)
            configuration.inputs = (0..<10_000).map { "file\($0)" }
            #expect(configuration.json.text.utf8.count < 2000)
            #expect(SourceConfiguration(json: configuration.json)?.inputs == [])
            #expect(
                configuration.json["inputs_digest"]?.stringValue == SourceConfiguration.digest(of: configuration.inputs)
            )
        }
    }

    @Test("Changed files are named")
    func changes() async throws {
        try await SourceFixture.with { fixture in
            for name in ["a", "b", "c"] { try fixture.write("in/\(name).txt", "some text") }
            let configuration = fixture.configuration("in", shuffle: true)
            let before = try await open(configuration).fingerprint
            #expect(before.changes(since: before).isEmpty)
            try fixture.write("in/a.txt", "other text")
            try fixture.write("in/d.txt", "new")
            try FileManager.default.removeItem(at: fixture.folder.appending(path: "in/b.txt"))
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 1000)],
                ofItemAtPath: fixture.folder.appending(path: "in/c.txt").path
            )
            let changes = try await open(configuration).fingerprint.changes(since: before)
            #expect(changes.count == 4)
            for (name, word) in [
                ("a", "has 10 bytes; it had 9"), ("b", "is missing"), ("c", "was changed"), ("d", "is new"),
            ] {
                #expect(changes.contains { $0.hasPrefix("in/\(name).txt: ") && $0.contains(word) }, "\(changes)")
            }
        }
    }

    @Test("A change of content with equal names, sizes and times is detected if the content was read")
    func content() async throws {
        try await SourceFixture.with { fixture in
            func fingerprint(_ text: String, _ shuffle: Bool) async throws -> InputFingerprint {
                try fixture.write("a.jsonl", text)
                try FileManager.default.setAttributes(
                    [.modificationDate: Date(timeIntervalSince1970: 1000)],
                    ofItemAtPath: fixture.folder.appending(path: "a.jsonl").path
                )
                return try await open(fixture.configuration("a.jsonl", shuffle: shuffle)).fingerprint
            }
            let before = try await fingerprint("1\n2\n", true)
            let changes = try await fingerprint("1\n3\n", true).changes(since: before)
            #expect(changes.count == 1 && changes[0].contains("content"), "\(changes)")
            #expect(try await fingerprint("1\n2\n", true).changes(since: before).isEmpty)
        }
    }

    @Test("The digest of items depends on all of them")
    func digest() {
        func digest(_ texts: [String]) -> String {
            var digest = ItemDigest()
            for text in texts {
                let record = Record(id: "r", kind: .text, bytes: Array(text.utf8))
                digest.add(SourceItem(index: 0, place: "-:1", content: .record(record)))
            }
            return digest.text
        }
        let all = [["a", "b"], ["ab", ""], ["", "ab"], ["b", "a"], ["a"], []].map(digest)
        #expect(Set(all).count == all.count)
        #expect(digest(["a", "b"]) == all[0])
    }
}
