import SheafCore
import Testing

/// A failed outcome carries its record, and a retry publishes what is read back from it.
@Suite("Failed records") struct FailedRecordTests {
    private func roundTrip(_ record: Record) throws -> Record? {
        let time = Timestamp(milliseconds: 0)
        let outcome = Outcome(
            index: 0,
            status: .failed,
            recordID: record.id,
            error: Outcome.Failure(type: "a", message: "b"),
            startedAt: time,
            finishedAt: time,
            worker: "w",
            record: record
        )
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        #expect(line.dropLast().allSatisfy { $0 != UInt8(ascii: "\n") })
        try JSON.validate(Array(line.dropLast()))
        return try Outcome(line: Array(line.dropLast())).record
    }

    private static let edges: [[UInt8]] = [
        [], [0], [0xFF], [0xFF, 0xFE, 0x00], Array("text\r\n\"quoted\"".utf8), Array("AAAA".utf8), [0xC3],
        [0xED, 0xA0, 0x80],
        Array("\u{2028}\u{0}\u{7F}".utf8), [0xEF, 0xBB, 0xBF, 0x61],
    ]

    @Test("A failed record is read back exactly", arguments: Record.Kind.allCases, edges)
    func failedRecordsSurviveTheWire(kind: Record.Kind, bytes: [UInt8]) throws {
        let record = Record(id: "r", kind: kind, bytes: bytes)
        #expect(try roundTrip(record) == record)
    }

    @Test("A failed record with random bytes is read back exactly", arguments: 0..<200)
    func randomRecordsSurviveTheWire(seed: Int) throws {
        for kind in Record.Kind.allCases {
            let bytes = (0..<Int.random(in: 0...64)).map { _ in UInt8.random(in: 0...255) }
            guard kind != .json || (try? JSON.validate(bytes)) == nil else { continue }
            let record = Record(id: "r", kind: kind, bytes: bytes)
            #expect(try roundTrip(record) == record)
        }
    }

    @Test("A failed JSON record on several lines keeps its value") func jsonStaysTheSameValue() throws {
        let record = Record(id: "r", kind: .json, bytes: Array("{\"a\":\n [1, \"x\"]}".utf8))
        let back = try #require(try roundTrip(record))
        #expect(back.kind == .json)
        #expect(try back.json == record.json)
    }

    @Test("An outcome line with invalid Base64 is an error") func aBadEncodingIsAnError() {
        let line = #"{"index":0,"generation":0,"status":"failed","record_kind":"binary","record_base64":"!"}"#
        #expect(throws: UnreadableMessage.self) { try Outcome(line: Array(line.utf8)) }
    }
}
