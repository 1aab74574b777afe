import Foundation
import SheafCore
import Testing

@testable import SheafFlows

/// How a process and all it started end; serial, because the tests count what the whole test process holds.
@Suite(.serialized) struct ExecFlowEndingTests {
    private func definition(_ flow: any Flow, timeout: Duration) throws -> FlowDefinition {
        FlowDefinition(name: try FlowFixtures.name("f"), flow: flow, timeout: timeout)
    }

    /// Returns whether a process exists and is no zombie.
    private func isAlive(_ process: String) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return false }
        return !status.contains(") Z ")
    }

    private func waitUntilGone(_ process: String) async throws {
        for _ in 0..<100 where isAlive(process) { try await Task.sleep(for: .milliseconds(10)) }
        #expect(!isAlive(process))
    }

    private func withFile(_ body: (String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory.path() + "/sheaf-ending-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    private func lines(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    private static let family = """
        trap '' TERM
        sh -c 'trap "" TERM; while :; do sleep 1; done' &
        echo $! > "$0"; echo $$ >> "$0"
        while :; do sleep 1; done
        """

    @Test("A time-out ends the whole process group", .timeLimit(.minutes(1))) func timeoutEndsTheWholeGroup()
        async throws
    {
        try await withFile { file in
            let flow = try FlowFixtures.impatient(["sh", "-c", Self.family, file])
            let start = ContinuousClock.now
            let result = try await definition(flow, timeout: .milliseconds(400)).attempt(FlowFixtures.task(json: "{}"))
            #expect(
                result == .failure(FlowError(type: "timeout", message: "ran longer than 400 ms", isRetryable: true))
            )
            #expect(ContinuousClock.now - start < .seconds(15))
            let family = try lines(file)
            #expect(family.count == 2)
            for process in family { try await waitUntilGone(process) }
        }
    }

    @Test("A cancel ends the whole process group", .timeLimit(.minutes(1))) func cancellingEndsTheWholeGroup()
        async throws
    {
        try await withFile { file in
            let flow = try FlowFixtures.impatient(["sh", "-c", Self.family, file])
            let definition = try definition(flow, timeout: .seconds(60))
            let flowTask = try FlowFixtures.task(json: "{}")
            let task = Task { await definition.attempt(flowTask) }
            while (try? lines(file).count) != 2 { try await Task.sleep(for: .milliseconds(10)) }
            task.cancel()
            #expect(await task.value == .cancelled)
            for process in try lines(file) { try await waitUntilGone(process) }
        }
    }

    @Test("A process can clean up after SIGTERM", .timeLimit(.minutes(1))) func cleansUpAfterTermination() async throws
    {
        try await withFile { file in
            let script = "trap 'sleep 0.2; echo tidy > \"$0\"; exit 0' TERM; while :; do sleep 0.05; done"
            let flow = try FlowFixtures.impatient(["sh", "-c", script, file], termination: .seconds(20))
            let start = ContinuousClock.now
            let result = try await definition(flow, timeout: .milliseconds(300)).attempt(FlowFixtures.task(json: "{}"))
            #expect(
                result == .failure(FlowError(type: "timeout", message: "ran longer than 300 ms", isRetryable: true))
            )
            #expect(try lines(file) == ["tidy"])
            #expect(ContinuousClock.now - start < .seconds(5))
        }
    }

    @Test("A cancelled task starts no process")
    func isCancelledBeforeItStarts() async throws {
        let definition = try definition(ExecFlow(["sleep", "60"]), timeout: .seconds(60))
        let flowTask = try FlowFixtures.task(json: "{}")
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await definition.attempt(flowTask)
        }
        #expect(await task.value == .cancelled)
    }

    @Test("A cancel while the process starts ends it", .timeLimit(.minutes(1)), arguments: 0..<20)
    func isCancelledWhileItStarts(delay: Int) async throws {
        let flow = try ExecFlow(["sleep", "60"])
        let flowTask = try FlowFixtures.task(json: "{}")
        let task = Task { try await flow.run(flowTask) }
        try await Task.sleep(for: .microseconds(delay * 150))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("Output that a helper process writes shortly after the end is read", .timeLimit(.minutes(1)))
    func lateOutput() async throws {
        let output = try await FlowFixtures.run("sh", "-c", "(sleep 0.3; echo late) & echo early")
        #expect(output == .text("early\nlate"))
    }

    @Test("A process that keeps the output open is ended after a while", .timeLimit(.minutes(1))) func heldPipe()
        async throws
    {
        try await withFile { file in
            let flow = try FlowFixtures.impatient(["sh", "-c", "sleep 60 & echo $! > \"$0\"; echo out", file])
            let start = ContinuousClock.now
            #expect(try await flow.run(FlowFixtures.task(json: "{}")) == .text("out"))
            #expect(ContinuousClock.now - start < .seconds(15))
            for process in try lines(file) { try await waitUntilGone(process) }
        }
    }

    @Test("Background processes of a task are ended with it", .timeLimit(.minutes(1))) func backgroundProcesses()
        async throws
    {
        try await withFile { file in
            let script = "sleep 60 > /dev/null 2>&1 & echo $! > \"$0\"; echo out"
            let flow = try ExecFlow(["sh", "-c", script, file])
            let start = ContinuousClock.now
            #expect(try await flow.run(FlowFixtures.task(json: "{}")) == .text("out"))
            #expect(ContinuousClock.now - start < .seconds(15))
            for process in try lines(file) { try await waitUntilGone(process) }
        }
    }

    @Test("A process that left the group is not waited for", .timeLimit(.minutes(1))) func processOutsideTheGroup()
        async throws
    {
        try await withFile { file in
            let flow = try FlowFixtures.impatient(
                ["sh", "-c", "setsid sleep 60 & echo $! > \"$0\"; sleep 0.1; echo out", file]
            )
            let start = ContinuousClock.now
            #expect(try await flow.run(FlowFixtures.task(json: "{}")) == .text("out"))
            #expect(ContinuousClock.now - start < .seconds(15))
            // It asked to be left alone, so the test ends it.
            for process in try lines(file) { _ = Int32(process).map { kill($0, SIGKILL) } }
        }
    }

    @Test("A process that closes its output still runs to its end", .timeLimit(.minutes(1)))
    func closingTheOutputIsNotTheEnd() async throws {
        let error = try await FlowFixtures.failure("sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 9")
        #expect(error == FlowError(type: "exit-code", message: "exit code 9", exitCode: 9))
    }

    @Test("A process inherits only the standard descriptors")
    func inheritedDescriptors() async throws {
        // One that is not closed by itself on exec, as a library might leave it.
        let open = Foundation.open("/dev/null", O_RDONLY)
        defer { close(open) }
        #expect(try await FlowFixtures.run("ls", "/proc/self/fd") == .text("0\n1\n2\n3"))
    }

    @Test("Many runs leak no descriptors and no processes", .timeLimit(.minutes(1))) func leaks() async throws {
        let flow = try ExecFlow(["true"])
        let failing = try ExecFlow(["no-such-program-anywhere"])
        let lost = try ExecFlow(["true"], directory: "/no/such/folder")
        let task = try FlowFixtures.task(json: "{}")
        func descriptors() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        for _ in 0..<5 { _ = try await flow.run(task) }
        let before = try descriptors()
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for _ in 0..<50 {
                        await #expect(throws: Never.self) { try await flow.run(task) }
                        if worker == 0 { _ = try? await failing.run(task) }
                        if worker == 1 { _ = try? await lost.run(task) }
                    }
                }
            }
        }
        // The pipes are closed by their sources, shortly after the run.
        for _ in 0..<100 where try descriptors() > before { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try descriptors() <= before)
    }
}
