import Foundation
import Glibc
import SheafCore
import Testing

@testable import SheafSources

@Suite("Standard input")
struct StreamTests {
    /// Runs `body` with a configuration whose standard input is a pipe; if `text` is nil, the pipe stays open and
    /// empty.
    private func withPipe(
        _ text: String?,
        shuffle: Bool = false,
        format: SourceFormat? = nil,
        maxRecords: Int? = nil,
        _ body: (SourceConfiguration, ReadingOptions, FileHandle) async throws -> Void
    ) async throws {
        let pipe = Pipe()
        if let text {
            let writing = pipe.fileHandleForWriting
            Thread.detachNewThread {
                // A reader that stopped early closes the pipe.
                try? writing.write(contentsOf: Data(text.utf8))
                try? writing.close()
            }
        }
        var options = ReadingOptions()
        options.standardInput = pipe.fileHandleForReading.fileDescriptor
        let configuration = SourceConfiguration(inputs: ["-"], format: format, shuffle: shuffle, maxRecords: maxRecords)
        try await body(configuration, options, pipe.fileHandleForWriting)
        _ = pipe
    }

    static let texts: [(String, SourceFormat?, [String])] = [
        ("\n {\"id\":1}\n{}", nil, ["1= {\"id\":1}", "-:3={}"]),
        (" [1,\n2]", nil, ["-:1=1", "-:2=2"]),
        ("one\ntwo", nil, ["-:1=one", "-:2=two"]),
        ("a,b\n1,2", .csv, ["-:2={\"a\":\"1\",\"b\":\"2\"}"]),
        ("x\ny", .files, ["-=x\ny"]),
    ]

    @Test("The format of standard input is given or detected from its first byte", arguments: texts)
    func formats(text: String, format: SourceFormat?, expected: [String]) async throws {
        for shuffle in [false, true] {
            try await withPipe(text, shuffle: shuffle, format: format) { configuration, options, _ in
                let source = try await RecordSource.open(configuration, options: options)
                #expect(source.count == (shuffle ? expected.count : nil))
                let items = try await source.items().sorted { $0.index < $1.index }
                #expect(items.map(\.brief) == expected)
            }
        }
    }

    @Test("Empty standard input is an error", arguments: [false, true])
    func empty(shuffle: Bool) async throws {
        try await withPipe("\n", shuffle: shuffle) { configuration, options, _ in
            let error = await #expect(throws: SourceError.self) {
                _ = try await RecordSource.open(configuration, options: options).items()
            }
            #expect(error == SourceError(.empty, "standard input has no records"))
        }
    }

    @Test("Endless standard input is read no further than needed")
    func endless() async throws {
        try await withPipe(nil, maxRecords: 2) { configuration, options, writing in
            try writing.write(contentsOf: Data("1\n2\n".utf8))
            let source = try await RecordSource.open(configuration, options: options)
            #expect(try await source.checkStrictly() == StrictReport(checked: 2, invalid: 0, first: []))
            #expect(try await source.items().map(\.brief) == ["-:1=1", "-:2=2"])
        }
    }

    @Test("Items that have arrived are returned before waiting for more")
    func arrives() async throws {
        try await withPipe(nil) { configuration, options, writing in
            try writing.write(contentsOf: Data("one\ntwo\nthr".utf8))
            let source = try await RecordSource.open(configuration, options: options)
            var iterator = source.chunks().makeAsyncIterator()
            #expect(try await iterator.next()?.map(\.brief) == ["-:1=one", "-:2=two"])
            try writing.write(contentsOf: Data("ee\n".utf8))
            #expect(try await iterator.next()?.map(\.brief) == ["-:3=three"])
            try writing.close()
            #expect(try await iterator.next() == nil)
        }
    }

    @Test("Cancelling the task ends a wait for standard input", arguments: [false, true])
    func cancels(shuffle: Bool) async throws {
        try await withPipe(nil, shuffle: shuffle) { configuration, options, _ in
            let task = Task { _ = try await RecordSource.open(configuration, options: options).items() }
            // The expected result is the same whether or not the wait has started.
            await Task.yield()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("Many waiting readers do not block other readers")
    func manyWaits() async throws {
        try await SourceFixture.with { fixture in
            try fixture.write("t.txt", "x\n")
            try await withPipe(nil) { configuration, options, _ in
                let waits = (0..<16).map { _ in
                    Task { _ = try await RecordSource.open(configuration, options: options).items() }
                }
                for _ in 0..<20 {
                    let items = try await fixture.items(fixture.configuration("t.txt"))
                    #expect(items.count == 1)
                }
                for wait in waits { wait.cancel() }
                for wait in waits { _ = await wait.result }
            }
        }
    }

    @Test("Standard input can be read only once, unless it is kept")
    func readsOnce() async throws {
        try await withPipe("1\n2\n") { configuration, options, _ in
            let source = try await RecordSource.open(configuration, options: options)
            #expect(try await source.items().count == 2)
            let again = await #expect(throws: SourceError.self) { _ = try await source.items() }
            #expect(again?.code == .alreadyRead)
            let check = await #expect(throws: SourceError.self) { _ = try await source.checkStrictly() }
            #expect(check?.code == .alreadyRead)
        }
        let text = (1...100_000).map { "\($0)\n" }.joined()
        try await withPipe(text) { configuration, options, _ in
            let source = try await RecordSource.open(configuration, options: options)
            #expect(try await source.checkStrictly().checked == 100_000)
            for _ in 0..<2 { #expect(try await source.items().count == 100_000) }
        }
    }

    @Test("A named pipe is read like standard input")
    func namedPipe() async throws {
        try await SourceFixture.with { fixture in
            let path = fixture.folder.appending(path: "p.jsonl").path
            #expect(mkfifo(path, 0o600) == 0)
            Thread.detachNewThread { try? Data("1\n2\n".utf8).write(to: URL(filePath: path), options: []) }
            let items = try await fixture.items(fixture.configuration("p.jsonl", shuffle: true))
            #expect(Set(items.map(\.brief)) == ["p.jsonl:1=1", "p.jsonl:2=2"])
        }
    }
}
