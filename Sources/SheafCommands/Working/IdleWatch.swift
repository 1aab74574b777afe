import Foundation
import SheafFlows
import Synchronization

/// Watches the machine for a worker that is to run only while nobody else needs it.
final class IdleWatch: Sendable {
    private let machine: Mutex<IdleMachine>
    private let running = Mutex(0)
    private let interval: Duration
    private let look: @Sendable () -> IdleMachine.Sight

    /// Makes a watch; `look` sees the machine.
    init(
        cores: Int = ProcessInfo.processInfo.activeProcessorCount,
        interval: Duration = IdleMachine.interval,
        look: @escaping @Sendable () -> IdleMachine.Sight = IdleMachine.Sight.now
    ) {
        machine = Mutex(IdleMachine(cores: cores))
        self.interval = interval
        self.look = look
    }

    /// The same flow, counted while it runs: what our own tasks add to the load is not held against us.
    func counting(_ definition: FlowDefinition) -> FlowDefinition {
        var definition = definition
        definition.flow = CountedFlow(flow: definition.flow) { change in self.running.withLock { $0 += change } }
        return definition
    }

    /// Returns when nobody else needs the machine; `tell` hears why it has to wait.
    func untilIdle(_ tell: (String) -> Void) async throws {
        var told = false
        while let reason = reason() {
            if !told { tell(reason) }
            told = true
            try await wait()
        }
    }

    /// Returns why, when somebody else needs the machine.
    func untilNeeded() async throws -> String {
        while true {
            try await wait()
            if let reason = reason() { return reason }
        }
    }

    private func reason() -> String? { machine.withLock { $0.reason(look()) } }

    private func wait() async throws {
        try await Task.sleep(for: interval)
        let running = running.withLock { $0 }
        machine.withLock { $0.note(running: running, for: interval) }
    }
}

/// A flow that tells how many of its tasks run.
private struct CountedFlow: Flow {
    let flow: any Flow
    let change: @Sendable (Int) -> Void

    func run(_ task: FlowTask) async throws -> FlowOutput {
        change(1)
        defer { change(-1) }
        return try await flow.run(task)
    }

    func shutDown() async { await flow.shutDown() }
}
