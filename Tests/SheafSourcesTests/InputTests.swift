import Foundation
import Glibc
import SheafCore
import Testing

@testable import SheafSources

@Suite("Inputs")
struct InputTests {
    private func tree(_ fixture: SourceFixture) throws {
        for name in [
            "b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt", ".hidden.txt", ".git/e.txt", "x.md", "sub/n[1].txt",
        ] {
            try fixture.write("texts/\(name)", "content of \(name)\nmore\n")
        }
        try FileManager.default.createSymbolicLink(
            at: fixture.folder.appending(path: "texts/loop"),
            withDestinationURL: fixture.folder.appending(path: "texts")
        )
    }

    static let globs: [(String, [String])] = [
        ("texts/*.txt", ["texts/a.txt", "texts/b.txt"]),
        (
            "texts/**/*.txt",
            ["texts/a.txt", "texts/b.txt", "texts/sub/c.txt", "texts/sub/deep/d.txt", "texts/sub/n[1].txt"]
        ),
        ("texts/sub/**", ["texts/sub/c.txt", "texts/sub/deep/d.txt", "texts/sub/n[1].txt"]),
        ("*/sub/[b-d].tx?", ["texts/sub/c.txt"]),
        ("texts/[!a].txt", ["texts/b.txt"]),
        ("texts/.*.txt", ["texts/.hidden.txt"]),
        (
            "texts",
            [
                "texts/a.txt", "texts/b.txt", "texts/sub/c.txt", "texts/sub/deep/d.txt", "texts/sub/n[1].txt",
                "texts/x.md",
            ]
        ),
        ("texts/sub/", ["texts/sub/c.txt", "texts/sub/deep/d.txt", "texts/sub/n[1].txt"]),
        ("./texts/sub/deep", ["./texts/sub/deep/d.txt"]),
    ]

    @Test("Globs and folders are expanded in order", arguments: globs)
    func expands(input: String, expected: [String]) async throws {
        try await SourceFixture.with { fixture in
            try tree(fixture)
            let items = try await fixture.items(fixture.configuration(input))
            #expect(items.map(\.place) == expected)
            #expect(items.compactMap { $0.record?.id } == expected)
            #expect(items.allSatisfy { $0.record?.kind == .text })
        }
    }

    @Test("An absolute glob leads to absolute paths")
    func absolute() async throws {
        try await SourceFixture.with { fixture in
            try tree(fixture)
            let items = try await fixture.items(fixture.configuration("\(fixture.folder.path)/texts/?.txt"))
            #expect(items.map(\.place) == ["a", "b"].map { "\(fixture.folder.path)/texts/\($0).txt" })
        }
    }

    @Test("The exact name of an existing file is not a pattern")
    func literalName() async throws {
        try await SourceFixture.with { fixture in
            try tree(fixture)
            let items = try await fixture.items(fixture.configuration("texts/sub/n[1].txt"))
            #expect(items.map(\.place) == ["texts/sub/n[1].txt:1", "texts/sub/n[1].txt:2"])
        }
    }

    @Test("The format follows from the file names")
    func formats() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("d/a.JSONL", "1\n2\n")
            try fixture.write("d/b.csv", "h\n3\n")
            #expect(
                try await fixture.items(fixture.configuration("d")).map(\.place) == [
                    "d/a.JSONL:1", "d/a.JSONL:2", "d/b.csv:2",
                ]
            )
            #expect(try await fixture.items(fixture.configuration("d", format: .lines)).count == 4)
            #expect(
                try await fixture.items(fixture.configuration("d/*.csv", format: .files)).map(\.place) == ["d/b.csv"]
            )
            try fixture.write("d/c.txt", "x\ny\n")
            #expect(
                try await fixture.items(fixture.configuration("d")).map(\.place) == ["d/a.JSONL", "d/b.csv", "d/c.txt"]
            )
            #expect(
                try await fixture.items(fixture.configuration("d/c.txt", "d/b.csv", "d/c.txt")).map(\.place) == [
                    "d/c.txt:1", "d/c.txt:2", "d/b.csv:2",
                ]
            )
        }
    }

    @Test("Whole files become records unchanged")
    func files() async throws {
        var options = ReadingOptions()
        options.recordLimit = 5
        try await SourceFixture.with { fixture in
            try fixture.write("d/1", [0xFF, 0x00])
            try fixture.write("d/2", "")
            try fixture.write("d/3", "123456")
            try fixture.write("d/4", "\u{FEFF}\r")
            for shuffle in [false, true] {
                let items = try await fixture.items(fixture.configuration("d", shuffle: shuffle), options: options)
                let sorted = items.sorted { $0.index < $1.index }
                #expect(sorted.map { $0.record?.bytes } == [[0xFF, 0x00], [], nil, [0xEF, 0xBB, 0xBF, 0x0D]])
                #expect(sorted.map { $0.record?.kind } == [.binary, .text, nil, .text])
                #expect(sorted[2].content == .invalid(message: "is 6 bytes; the limit is 5 bytes"))
            }
        }
    }

    @Test("Errors in the configuration are reported before anything is read")
    func errors() async throws {
        try await SourceFixture.with { fixture in
            try FileManager.default.createDirectory(
                at: fixture.folder.appending(path: "void"),
                withIntermediateDirectories: false
            )
            for name in ["x.dat", "plain"] { try fixture.write(name, "1") }
            for name in ["1.txt", "2.txt"] { try fixture.write(name, "") }
            let choices = "jsonl, json, csv, tsv, lines, files"
            let cases: [([String], SourceError)] = [
                ([], SourceError(.invalidConfiguration, "no input was given")),
                (["no.csv"], SourceError(.notFound, "no.csv: no such file or folder")),
                (["1.txt/x.csv"], SourceError(.notFound, "1.txt/x.csv: no such file or folder")),
                (["*.no"], SourceError(.noMatch, "*.no: no file matches")),
                (["no/*.csv"], SourceError(.noMatch, "no/*.csv: no file matches")),
                (["void"], SourceError(.noMatch, "void: the folder has no files")),
                (
                    ["x.dat"],
                    SourceError(
                        .unknownFormat,
                        "x.dat: the file extension does not determine the format; give one of the formats \(choices)"
                    )
                ),
                (
                    ["plain"],
                    SourceError(
                        .unknownFormat,
                        "plain: the file extension does not determine the format; give one of the formats \(choices)"
                    )
                ),
                (["1.txt"], SourceError(.empty, "1.txt has no records")),
            ]
            for (inputs, expected) in cases {
                for shuffle in [false, true] {
                    var configuration = fixture.configuration(shuffle: shuffle)
                    configuration.inputs = inputs
                    #expect(await fixture.failure(configuration) == expected)
                }
            }
            #expect(await fixture.failure(fixture.configuration("1.txt", "2.txt"))?.code == .unknownFormat)
            let both = fixture.configuration("1.txt", "2.txt", format: .lines)
            #expect(await fixture.failure(both) == SourceError(.empty, "1.txt, 2.txt have no records"))
            #expect(SourceError.system(EACCES, path: "x").code == .permissionDenied)
        }
    }

    @Test("A file that changes during reading is detected")
    func changes() async throws {
        var options = ReadingOptions()
        options.openFiles = 1
        try await SourceFixture.with { fixture in
            try fixture.write("d/a.jsonl", "1\n2\n")
            try fixture.write("d/b.jsonl", "3\n4\n")
            let source = try await RecordSource.open(fixture.configuration("d", shuffle: true), options: options)
            try fixture.write("d/a.jsonl", "1\n")
            let error = await #expect(throws: SourceError.self) { try await source.items() }
            #expect(error?.code == .changed)
        }
    }

    @Test("Content that is appended during reading is ignored in every pass")
    func appends() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.log", "one\ntwo\n")
            let source = try await RecordSource.open(fixture.configuration("t.log"))
            let handle = try FileHandle(forWritingTo: fixture.folder.appending(path: "t.log"))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data("three\n".utf8))
            try handle.close()
            #expect(try await source.items().count == 2)
            #expect(try await source.checkStrictly().checked == 2)
        }
    }
}
