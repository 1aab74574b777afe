import Foundation
import Glibc
import Testing

/// Tests that pass the fuzzer's seeds, its findings and mutations of both to the decoders.
///
/// Regressions that the fuzzer would take hours to find again appear here within seconds.
@Suite("Fuzzing corpus", .serialized, .timeLimit(.minutes(2))) struct CorpusTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Corpus")
    /// The number of mutations for each decoder.
    private static let mutations = 3000
    /// The maximum processor time for one input, even without optimization.
    private static let limit = Duration.seconds(5)

    private func inputs(_ decoder: Decoder) throws -> [(name: String, bytes: [UInt8])] {
        let folder = Self.folder.appending(path: decoder.rawValue)
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.sorted { $0.path < $1.path }.map { ($0.lastPathComponent, Array(try Data(contentsOf: $0))) }
    }

    @Test("Every input of the corpus is decoded in time", arguments: Decoder.allCases)
    func corpus(of decoder: Decoder) throws {
        let inputs = try inputs(decoder)
        #expect(inputs.count >= 5)
        for (name, bytes) in inputs { check(bytes, by: decoder, "\(decoder.rawValue)/\(name)") }
    }

    @Test("Mutations of the corpus are decoded in time", arguments: Decoder.allCases)
    func mutations(of decoder: Decoder) throws {
        var mutator = Mutator(seed: decoder.rawValue.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
        let inputs = try inputs(decoder).map(\.bytes).filter { $0.count <= 4096 }
        for number in 0..<Self.mutations {
            check(mutator.mutation(of: inputs), by: decoder, "mutation \(number)")
        }
    }

    @Test("A property that does not hold is reported") func violation() {
        #expect(throws: Violation.self) { try require(false, "a property") }
    }

    /// The processor time of this thread; unlike wall-clock time, it does not grow while other threads run.
    private static var time: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    private func check(_ bytes: [UInt8], by decoder: Decoder, _ name: String) {
        let start = Self.time
        #expect(throws: Never.self, "\(name): \(String(decoding: bytes.prefix(400), as: UTF8.self))") {
            try decoder.check(bytes)
        }
        let time = Self.time - start
        #expect(time < Self.limit, "\(name) took \(time)")
    }
}
