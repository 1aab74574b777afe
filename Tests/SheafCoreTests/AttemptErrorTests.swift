import SheafCore
import Testing

@Suite("Attempt errors") struct AttemptErrorTests {
    private let flow: Name = "echo"
    private let batch: Name = "b-1"

    private func error(_ attempt: Int, _ message: String = "exit code 75") -> AttemptError {
        AttemptError(
            attempt: attempt,
            type: "exit-code",
            message: message,
            at: Timestamp(milliseconds: 1_700_000_000_001),
            worker: "host:1"
        )
    }

    private func task(_ errors: [AttemptError]) -> BatchTask {
        let record = Record(id: "r", kind: .text, bytes: Array("x".utf8))
        return BatchTask(flow: flow, batch: batch, index: 3, attempt: 2, record: record, errors: errors)
    }

    @Test("A task message carries the errors of earlier attempts") func travelWithATask() throws {
        let errors = [error(1), error(2, "with \"quotes\"\nand lines")]
        #expect(try BatchTask(task(errors).message) == task(errors))
        #expect(task([]).message["sheaf-errors"] == nil)
    }

    @Test("The number and the size of errors are limited") func areBounded() throws {
        let many = (1...40).map { error($0, String(repeating: "ä", count: 10_000)) }
        let message = task(many).message
        let text = try #require(message.string("sheaf-errors"))
        #expect(text.utf8.count < 8192)
        let kept = try BatchTask(message).errors
        #expect(kept.map(\.attempt) == Array(31...40))
        #expect(
            kept.allSatisfy { $0.message.utf8.count <= AttemptError.maximumMessage + 3 && $0.message.hasSuffix("ä…") }
        )
        #expect(try BatchTask(task(kept).message).errors == kept, "a message is truncated only once")
    }

    @Test(
        "A task with unreadable errors is still read",
        arguments: [
            "", "x", "{}", "[1, {}, [], null]", "[{\"type\": 1}]", "{\"type\":\"a\"}",
            String(repeating: "[", count: 100_000),
        ]
    )
    func unreadableErrorsAreIgnored(text: String) throws {
        var message = task([]).message
        message.headers.append(.init("sheaf-errors", .string(text)))
        #expect(try BatchTask(message) == task([]))
    }

    @Test("The readable part of foreign errors is kept") func foreignErrorsAreKeptInPart() throws {
        var message = task([]).message
        message.headers.append(.init("sheaf-errors", .string(#"[7, {"type":"a","attempt":-1,"at":"soon"}]"#)))
        let read = try #require(try BatchTask(message).errors.first)
        #expect(read.type == "a" && read.attempt == 0 && read.message.isEmpty)
    }

    @Test("Outcome lines and rows contain the errors of attempts") func standInLinesAndRows() throws {
        let time = Timestamp(milliseconds: 1_700_000_000_001)
        let outcome = Outcome(
            index: 1,
            status: .succeeded,
            recordID: "r",
            output: Array("1".utf8),
            attempts: 3,
            startedAt: time,
            finishedAt: time,
            worker: "w",
            errors: [error(1), error(2)]
        )
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        #expect(try Outcome(line: Array(line.dropLast())) == outcome)
        var row: [UInt8] = []
        outcome.writeRow(batch: batch, to: &row)
        let errors = try #require(try JSON.parse(row)["errors"]?.arrayValue)
        #expect(errors.map { $0["attempt"]?.intValue } == [1, 2])
        #expect(errors.first?["worker"] == "host:1")
    }
}
