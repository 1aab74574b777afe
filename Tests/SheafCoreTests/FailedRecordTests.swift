import SheafCore
import Testing

/// A failed outcome carries its record, and a retry publishes what is read back from it.
@Suite struct FailedRecordTests {
    private func roundTrip(_ record: Record) throws -> Record? {
        let moment = Timestamp(milliseconds: 0)
        let outcome = Outcome(
            index: 0,
            status: .failed,
            recordID: record.id,
            error: Outcome.Failure(type: "a", message: "b"),
            startedAt: moment,
            finishedAt: moment,
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

    @Test(arguments: Record.Kind.allCases, edges)
    func comesBackExactly(kind: Record.Kind, bytes: [UInt8]) throws {
        let record = Record(id: "r", kind: kind, bytes: bytes)
        #expect(try roundTrip(record) == record)
    }

    @Test(arguments: 0..<200)
    func anyBytesComeBackExactly(seed: Int) throws {
        for kind in Record.Kind.allCases {
            let bytes = (0..<Int.random(in: 0...64)).map { _ in UInt8.random(in: 0...255) }
            guard kind != .json || (try? JSON.validate(bytes)) == nil else { continue }
            let record = Record(id: "r", kind: kind, bytes: bytes)
            #expect(try roundTrip(record) == record)
        }
    }

    @Test func jsonStaysTheSameValue() throws {
        let record = Record(id: "r", kind: .json, bytes: Array("{\"a\":\n [1, \"x\"]}".utf8))
        let back = try #require(try roundTrip(record))
        #expect(back.kind == .json)
        #expect(try back.json == record.json)
    }

    @Test func aBadEncodingIsAnError() {
        let line = #"{"index":0,"generation":0,"status":"failed","record_kind":"binary","record_base64":"!"}"#
        #expect(throws: UnreadableMessage.self) { try Outcome(line: Array(line.utf8)) }
    }
}
