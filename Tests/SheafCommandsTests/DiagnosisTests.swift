import Sheaf
import SheafBroker
import SheafCore
import SheafSources
import SystemPackage
import Testing

@testable import SheafCommands

@Suite struct DiagnosisTests {
    @Test(arguments: [
        (BrokerError.Code.unreachable, ExitReason.unreachable), (.accessRefused, .unreachable),
        (.connectionLost, .unreachable), (.timedOut, .unreachable), (.blocked, .blocked), (.refused, .blocked),
        (.storage, .inputOutput), (.tooLarge, .badData), (.notFound, .notFound), (.queueGone, .notFound),
        (.mismatch, .unavailable), (.protocolViolation, .unavailable), (.closed, .fault), (.invalidArgument, .fault),
    ]) func brokerErrors(code: BrokerError.Code, status: ExitReason) {
        let diagnosis = Diagnosis(of: BrokerError(code, "what happened"))
        #expect(diagnosis.status == status)
        #expect(diagnosis.text?.hasPrefix("sheaf: what happened") == true)
    }

    @Test(arguments: [
        (SheafError.Code.notFound, ExitReason.notFound), (.alreadyExists, .conflict), (.alreadyFinished, .conflict),
        (.cancelled, .cancelled), (.timedOut, .timedOut), (.invalid, .badData), (.interrupted, .unsuccessful),
        (.notNow, .conflict),
    ]) func sheafErrors(code: SheafError.Code, status: ExitReason) {
        #expect(Diagnosis(of: SheafError(code, "why")).status == status)
    }

    @Test(arguments: [
        (SourceError.Code.notFound, ExitReason.noInput), (.permissionDenied, .noInput), (.noMatch, .noInput),
        (.unreadable, .noInput), (.empty, .badData), (.invalidHeader, .badData), (.changed, .badData),
        (.unknownFormat, .usage), (.temporaryStorage, .inputOutput),
    ]) func sourceErrors(code: SourceError.Code, status: ExitReason) {
        #expect(Diagnosis(of: SourceError(code, "why")).status == status)
    }

    @Test func signalsAreSilent() {
        let diagnosis = Diagnosis(of: Interruption(signal: 15))
        #expect(diagnosis.status == .terminated)
        #expect(diagnosis.text == nil)
        #expect(Diagnosis(of: Interruption(signal: 2)).status == .interrupted)
    }

    @Test func writingErrorsNameThePlace() {
        let diagnosis = Diagnosis(of: WriteError(.noSpace, name: "out.csv"))
        #expect(diagnosis.status == .inputOutput)
        #expect(diagnosis.text?.contains("out.csv") == true)
    }

    @Test func textIsIndentedBelowItsFirstLine() {
        let diagnosis = Diagnosis(.badData, "two are bad\na:1: x\na:2: y", advice: "mend them")
        #expect(diagnosis.text == "sheaf: two are bad\n  a:1: x\n  a:2: y\n  mend them")
    }

    @Test func statusesNeverChange() {
        let codes: [ExitReason: Int32] = [
            .success: 0, .unsuccessful: 1, .unreachable: 3, .conflict: 4, .notFound: 5, .cancelled: 6, .timedOut: 7,
            .usage: 64, .badData: 65, .noInput: 66, .unavailable: 69, .fault: 70, .inputOutput: 74, .blocked: 75,
            .configuration: 78, .interrupted: 130, .terminated: 143,
        ]
        #expect(codes.count == ExitReason.allCases.count)
        for (status, code) in codes { #expect(status.rawValue == code) }
        #expect(ExitReason.table.split(separator: "\n").count == codes.count)
    }
}
