import SheafBroker
import SheafRabbitMQ
import SheafTestTools
import Testing

/// All activities on a broker during every fault of a proxy in front of RabbitMQ, with a heartbeat of 1 s.
@Suite(.serialized) struct BrokerProxyTests {
    struct Fault: CustomTestStringConvertible {
        let testDescription: String
        let mode: FaultMode
        /// The duration of the fault.
        var duration = Duration.seconds(6)
        /// Whether connections cannot survive the fault.
        var isFatal = true
        /// Whether some calls may succeed during the fault.
        var isSparing = false
        /// The minimum duration of a call during the fault, or zero.
        var slowness = Duration.zero
    }

    static let faults = [
        Fault(testDescription: "reset", mode: .reset),
        Fault(testDescription: "refuse", mode: .refuse),
        Fault(testDescription: "swallow both ways", mode: .swallow(.both)),
        Fault(testDescription: "swallow towards the broker", mode: .swallow(.toBroker)),
        Fault(testDescription: "swallow from the broker", mode: .swallow(.fromBroker)),
        Fault(testDescription: "halt", mode: .halt),
        Fault(
            testDescription: "halt for less than a heartbeat",
            mode: .halt,
            duration: .milliseconds(700),
            isFatal: false
        ),
        Fault(
            testDescription: "delay of 200 ms each way",
            mode: .delay(.milliseconds(200)),
            isFatal: false,
            slowness: .milliseconds(400)
        ),
        Fault(
            testDescription: "trickle of a byte a millisecond",
            mode: .trickle(.milliseconds(1)),
            isFatal: false,
            slowness: .milliseconds(100)
        ),
        Fault(testDescription: "cut after 100 bytes to the broker", mode: .cut(after: 100, .toBroker)),
        Fault(testDescription: "cut after 400 bytes from the broker", mode: .cut(after: 400, .fromBroker)),
        Fault(
            testDescription: "cut after 3000 bytes to the broker",
            mode: .cut(after: 3_000, .toBroker),
            isSparing: true
        ),
        Fault(
            testDescription: "cut after 3000 bytes from the broker",
            mode: .cut(after: 3_000, .fromBroker),
            isSparing: true
        ),
    ]

    /// The time limit of a call: the time-outs of connecting, logging in and two calls, and the pause before an
    /// attempt.
    private static let longestCall = Duration.seconds(15)

    @Test("Every activity continues after a network fault", .timeLimit(.minutes(2)), arguments: faults)
    func recovery(_ fault: Fault) async throws {
        let node = try await RabbitMQNode.shared
        try await FaultProxy.with(inFrontOf: node.url) { proxy, url in
            let broker = try await impatientBroker(url)
            try await BrokerExercise.run(on: broker) { exercise in
                try await exercise.progress()
                let connections = proxy.acceptedConnections
                let start = ContinuousClock.now
                proxy.set(fault.mode)
                try await Task.sleep(until: start + fault.duration, clock: .continuous)
                proxy.set(.pass)
                let end = ContinuousClock.now
                let again = try await exercise.progress(since: end)
                let errors = exercise.firstErrors(since: start)
                let longest = try #require(exercise.longestCall(since: start))
                #expect(longest.1 < Self.longestCall)
                if fault.isFatal {
                    // A short call may succeed between two cuts.
                    let missed = Set(BrokerExercise.Activity.allCases).subtracting(errors.keys)
                    #expect(missed.isEmpty || fault.isSparing && missed == [.locking])
                    #expect(proxy.acceptedConnections >= connections + 3)
                } else {
                    #expect(longest.1 >= fault.slowness)
                }
                report(fault, errors, again, longest)
            }
            await broker.close()
            // The proxy notices it slightly later.
            try await eventually("no connection is left open") { proxy.openConnections == 0 }
        }
    }

    private func report(
        _ fault: Fault,
        _ errors: [BrokerExercise.Activity: (after: Duration, error: BrokerError)],
        _ again: [BrokerExercise.Activity: Duration],
        _ longest: (BrokerExercise.Activity, Duration)
    ) {
        let failed = errors.sorted { $0.value.after < $1.value.after }
            .map { "\($0.key.rawValue) \($0.value.after.rounded) (\($0.value.error.code))" }.joined(separator: ", ")
        let resumed = again.sorted { $0.value < $1.value }.map { "\($0.key.rawValue) \($0.value.rounded)" }
            .joined(separator: ", ")
        print(
            "| \(fault.testDescription) | for \(fault.duration) | first errors after: "
                + "\(failed.isEmpty ? "none" : failed); continued after: \(resumed); longest call: \(longest.0.rawValue) \(longest.1.rounded) |"
        )
    }
}
