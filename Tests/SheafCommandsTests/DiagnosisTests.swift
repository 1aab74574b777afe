import Sheaf
import SheafBroker
import SheafCore
import SheafFormats
import SheafSources
import SystemPackage
import Testing

@testable import SheafCommands

@Suite struct DiagnosisTests {
    @Test(
        "Each error of a broker has its exit code",
        arguments: [
            (BrokerError.Code.unreachable, ExitReason.unreachable), (.accessRefused, .unreachable),
            (.connectionLost, .unreachable), (.timedOut, .unreachable), (.blocked, .blocked), (.refused, .blocked),
            (.storage, .inputOutput), (.tooLarge, .badData), (.notFound, .notFound), (.queueGone, .notFound),
            (.mismatch, .unavailable), (.protocolViolation, .unavailable), (.closed, .fault),
            (.invalidArgument, .fault),
        ]
    ) func brokerErrors(code: BrokerError.Code, status: ExitReason) {
        let diagnosis = Diagnosis(of: BrokerError(code, "what happened"))
        #expect(diagnosis.status == status)
        #expect(diagnosis.text?.hasPrefix("sheaf: what happened") == true)
    }

    @Test(
        "Each error of the library has its exit code",
        arguments: [
            (SheafError.Code.notFound, ExitReason.notFound), (.alreadyExists, .conflict), (.alreadyFinished, .conflict),
            (.cancelled, .cancelled), (.timedOut, .timedOut), (.invalid, .usage), (.interrupted, .unsuccessful),
            (.notNow, .conflict),
        ]
    ) func sheafErrors(code: SheafError.Code, status: ExitReason) {
        #expect(Diagnosis(of: SheafError(code, "why")).status == status)
    }

    @Test(
        "Each error of an input has its exit code",
        arguments: [
            (SourceError.Code.notFound, ExitReason.noInput), (.permissionDenied, .noInput), (.noMatch, .noInput),
            (.unreadable, .noInput), (.empty, .badData), (.invalidHeader, .badData), (.changed, .badData),
            (.unknownFormat, .usage), (.temporaryStorage, .inputOutput),
        ]
    ) func sourceErrors(code: SourceError.Code, status: ExitReason) {
        #expect(Diagnosis(of: SourceError(code, "why")).status == status)
    }

    @Test("A signal ends the command without a message") func signalsAreSilent() {
        let diagnosis = Diagnosis(of: Interruption(signal: 15))
        #expect(diagnosis.status == .terminated)
        #expect(diagnosis.text == nil)
        #expect(Diagnosis(of: Interruption(signal: 2)).status == .interrupted)
    }

    @Test("A failed write names the destination") func writingErrorsNameThePlace() {
        let diagnosis = Diagnosis(of: WriteError(.noSpace, name: "out.csv"))
        #expect(diagnosis.status == .inputOutput)
        #expect(diagnosis.text?.contains("out.csv") == true)
    }

    @Test("A message is indented below its first line") func textIsIndentedBelowItsFirstLine() {
        let diagnosis = Diagnosis(.badData, "two are bad\na:1: x\na:2: y", advice: "fix them")
        #expect(diagnosis.text == "sheaf: two are bad\n  a:1: x\n  a:2: y\n  fix them")
    }

    @Test("Exit codes never change") func statusesNeverChange() {
        let codes: [ExitReason: Int32] = [
            .success: 0, .unsuccessful: 1, .unreachable: 3, .conflict: 4, .notFound: 5, .cancelled: 6, .timedOut: 7,
            .usage: 64, .badData: 65, .noInput: 66, .unavailable: 69, .fault: 70, .inputOutput: 74, .blocked: 75,
            .configuration: 78, .interrupted: 130, .terminated: 143,
        ]
        #expect(codes.count == ExitReason.allCases.count)
        for (status, code) in codes { #expect(status.rawValue == code) }
        #expect(ExitReason.table.split(separator: "\n").count == codes.count)
    }

    @Test("A message of the library ends with the command line that its advice stands for")
    func adviceBecomesACommandLine() throws {
        let id = Name("b1")
        func text(_ message: String, _ advice: Advice) -> String? {
            Diagnosis(of: SheafError(.notNow, message, advice: advice)).text
        }
        #expect(
            text("the broker lost tasks of batch 'b1'", .retryMissing(id))
                == "sheaf: the broker lost tasks of batch 'b1'; 'sheaf retry b1 --missing' publishes them again"
        )
        #expect(
            text("batch 'b1' does not exist", .listBatches)
                == "sheaf: batch 'b1' does not exist; 'sheaf list' shows the existing ones"
        )
        #expect(text("m", .resumeCreation(id))?.contains("'sheaf create --resume b1'") == true)
        #expect(text("m", .retryTask(id, index: 7))?.contains("'sheaf retry b1 --index 7'") == true)
        #expect(text("m", .showDeadLetter(3))?.contains("'sheaf dead show 3'") == true)
    }

    @Test("Advice about the broker has a line of its own")
    func adviceAboutTheBroker() {
        let diagnosis = Diagnosis(of: BrokerError(.unreachable, "no answer"))
        #expect(diagnosis.text == "sheaf: no answer\n  'sheaf doctor' shows which broker is used and why")
    }

    @Test("Each kind of problem has an exit code and an HTTP status", arguments: Problem.Kind.allCases)
    func kinds(kind: Problem.Kind) {
        #expect(ExitReason(kind) != .success)
        #expect((400..<600).contains(kind.httpStatus))
    }

    @Test("HTTP statuses tell the client's errors from those of the server and of the broker")
    func statuses() {
        let expected: [Problem.Kind: Int] = [
            .usage: 400, .notFound: 404, .conflict: 409, .cancelled: 409, .interrupted: 409, .badData: 422,
            .noInput: 422, .configuration: 500, .inputOutput: 500, .fault: 500, .incompatible: 502, .unreachable: 503,
            .blocked: 503, .timedOut: 504,
        ]
        #expect(expected.count == Problem.Kind.allCases.count)
        for (kind, status) in expected { #expect(kind.httpStatus == status) }
        #expect(Problem(of: SheafError(.notFound, "m", advice: .listBatches)).advice == .batches(.listBatches))
        #expect(Problem(of: CancellationError()).kind == .fault)
    }
}
