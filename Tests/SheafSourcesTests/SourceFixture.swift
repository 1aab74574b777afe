import Foundation
import SheafCore
import Testing

@testable import SheafSources

/// A temporary folder for one test, deleted afterwards.
struct SourceFixture {
    let folder: URL

    static func with<Result>(_ body: (SourceFixture) async throws -> Result) async throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-sources-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try await body(SourceFixture(folder: folder))
    }

    func write(_ path: String, _ bytes: [UInt8]) throws {
        let file = folder.appending(path: path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
        try Data(bytes).write(to: file)
    }

    func write(_ path: String, _ text: String) throws {
        try write(path, Array(text.utf8))
    }

    func configuration(
        _ inputs: String...,
        format: SourceFormat? = nil,
        idField: String? = nil,
        columns: [String: String] = [:],
        shuffle: Bool = false,
        seed: UInt64 = 0,
        maxRecords: Int? = nil
    ) -> SourceConfiguration {
        SourceConfiguration(
            inputs: inputs,
            format: format,
            idField: idField,
            columns: columns,
            shuffle: shuffle,
            seed: seed,
            maxRecords: maxRecords,
            workingDirectory: folder.path
        )
    }

    /// Returns all items in reading order.
    func items(
        _ configuration: SourceConfiguration,
        options: ReadingOptions = ReadingOptions()
    ) async throws -> [SourceItem] {
        try await RecordSource.open(configuration, options: options).items()
    }

    /// Returns the items of one file in brief form.
    func read(
        _ name: String,
        _ text: String,
        options: ReadingOptions = ReadingOptions(),
        columns: [String: String] = [:]
    ) async throws -> [String] {
        try write(name, text)
        return try await items(configuration(name, columns: columns), options: options).map(\.brief)
    }

    /// Returns the error of opening or reading.
    func failure(_ configuration: SourceConfiguration) async -> SourceError? {
        do {
            _ = try await items(configuration)
            return nil
        } catch {
            return error as? SourceError
        }
    }
}

extension RecordSource {
    func items(from position: Int = 0) async throws -> [SourceItem] {
        var all: [SourceItem] = []
        for try await chunk in chunks(from: position) {
            #expect(!chunk.isEmpty)
            all += chunk
        }
        return all
    }
}

extension SourceItem {
    /// The item in brief form: `id=content`, or `place!message` if it is invalid.
    var brief: String {
        switch content {
        case .record(let record): "\(record.id)=\(String(decoding: record.bytes, as: UTF8.self))"
        case .invalid(let message): "\(place)!\(message)"
        }
    }

    var record: Record? {
        if case .record(let record) = content { record } else { nil }
    }
}
