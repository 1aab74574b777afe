import SheafBroker
import SheafCore
import Testing

@testable import SheafBatches
@testable import SheafCommands

@Suite struct DeadLetterTableTests {
    private func letter(_ time: Timestamp?) -> DeadLetter {
        let message = Message(id: "j", type: "junk", headers: [.init(DeathHeaders.reason, .string("rejected"))])
        return DeadLetter(LogEntry(offset: 17, message: message, time: time))
    }

    @Test func sayWhenTheyCameWhereThatIsKnown() {
        let came = Timestamp(milliseconds: 1_700_000_000_000)
        let lines = DeadLetterTable.lines([letter(came), letter(nil)], now: came + .seconds(90))
        #expect(lines.count == 3)
        #expect(lines[0].split(separator: " ").prefix(3) == ["NUMBER", "CAME", "REASON"])
        #expect(lines[1].contains(" 17  1 min 30 s ago  rejected"))
        #expect(lines[2].contains(" 17  -               rejected"))
        #expect(letter(came).json["at"] == "2023-11-14T22:13:20.000Z")
        #expect(letter(nil).json["at"] == .null)
        let message = Message()
        #expect(DeadLetterTable.details(letter(came), message).contains("came: 2023-11-14T22:13:20.000Z"))
        #expect(DeadLetterTable.details(letter(nil), message).contains("came: unknown"))
    }
}
