import SheafCore
import Testing

@testable import SheafFlows

@Suite struct FlowAttemptTests {
    /// A flow that runs a closure.
    private struct ClosureFlow: Flow {
        let body: @Sendable (FlowTask) async throws -> FlowOutput
        func run(_ task: FlowTask) async throws -> FlowOutput { try await body(task) }
    }

    private struct ForeignError: Error { let reason = "no luck" }

    private func attempt(
        timeout: Duration? = nil,
        parameters: JSONValue = [:],
        task: FlowTask? = nil,
        _ body: @escaping @Sendable (FlowTask) async throws -> FlowOutput
    ) async throws -> AttemptResult {
        let definition = FlowDefinition(
            name: try FlowFixtures.name("f"),
            flow: ClosureFlow(body: body),
            timeout: timeout,
            parameters: parameters
        )
        return await definition.attempt(try task ?? FlowFixtures.task(json: "{}"))
    }

    @Test("A task's parameters override the defaults")
    func parameters() async throws {
        let task = try FlowFixtures.task(json: "{}", parameters: ["lang": "de", "n": 1])
        let result = try await attempt(parameters: ["lang": "en", "mode": ["fast"]], task: task) {
            .value($0.parameters)
        }
        #expect(result == .success(.value(["lang": "de", "mode": ["fast"], "n": 1])))
    }

    @Test("An attempt returns the output or the error")
    func result() async throws {
        let failure = FlowError(type: "mine", message: "no", isRetryable: true)
        for timeout in [nil, Duration.seconds(60)] {
            #expect(try await attempt(timeout: timeout) { _ in .text("ok") } == .success(.text("ok")))
            #expect(try await attempt(timeout: timeout) { _ in throw failure } == .failure(failure))
            #expect(
                try await attempt(timeout: timeout) { _ in throw ForeignError() }
                    == .failure(FlowError(type: "ForeignError", message: #"ForeignError(reason: "no luck")"#))
            )
            #expect(
                try await attempt(timeout: timeout) { _ in throw CancellationError() }
                    == .failure(FlowError(type: "CancellationError", message: "CancellationError()"))
            )
        }
    }

    @Test("A throttle is not a failure")
    func throttle() async throws {
        let throttle = FlowThrottle(delay: .seconds(2), message: "429")
        for timeout in [nil, Duration.seconds(60)] {
            let result = try await attempt(timeout: timeout) { _ in throw throttle }
            #expect(result == .throttled(throttle))
            #expect(!result.isSuccess)
        }
    }

    @Test("Long descriptions of foreign errors are cut")
    func longDescriptions() async throws {
        struct Long: Error, CustomStringConvertible { let description = String(repeating: "x", count: 100_000) }
        guard case .failure(let error) = try await attempt({ _ in throw Long() }) else {
            Issue.record("succeeded")
            return
        }
        #expect(error.message.count == 4097)
    }

    @Test(
        "An attempt that takes too long fails with a time-out",
        arguments: [(Duration.milliseconds(50), "50 ms"), (.milliseconds(1500), "1500 ms")]
    )
    func timeout(timeout: Duration, text: String) async throws {
        let result = try await attempt(timeout: timeout) { _ in
            try await Task.sleep(for: .seconds(60))
            return .text("never")
        }
        #expect(result == .failure(FlowError(type: "timeout", message: "ran longer than \(text)", isRetryable: true)))
    }

    @Test("An output after the time-out does not count")
    func lateSuccess() async throws {
        let result = try await attempt(timeout: .milliseconds(20)) { _ in
            // A flow that ignores the cancellation.
            await Task { try? await Task.sleep(for: .milliseconds(100)) }.value
            return .text("late")
        }
        #expect(result == .failure(FlowError(type: "timeout", message: "ran longer than 20 ms", isRetryable: true)))
    }

    @Test("A cancelled attempt is not a failure", arguments: [nil, Duration.seconds(60)]) func cancelled(
        timeout: Duration?
    ) async throws {
        let (started, continuation) = AsyncStream<Void>.makeStream()
        let running = Task {
            try await attempt(timeout: timeout) { _ in
                continuation.finish()
                try await Task.sleep(for: .seconds(60))
                return .text("never")
            }
        }
        for await _ in started {}
        running.cancel()
        #expect(try await running.value == .cancelled)
    }

    @Test("An output that arrives after a cancel counts")
    func outputAfterCancel() async throws {
        let (started, continuation) = AsyncStream<Void>.makeStream()
        let running = Task {
            try await attempt(timeout: .seconds(60)) { _ in
                continuation.finish()
                await Task { try? await Task.sleep(for: .milliseconds(50)) }.value
                return .text("done")
            }
        }
        for await _ in started {}
        running.cancel()
        #expect(try await running.value == .success(.text("done")))
    }
}
