import Foundation
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// A worker that has nothing to do, with ten times the default number of connection heartbeats.
@Suite(.timeLimit(.minutes(6))) struct IdlingTests {
    /// The resources of a process.
    private struct ProcessUsage: CustomStringConvertible {
        let descriptors: Int
        let threads: Int
        let kilobytes: Int

        init(_ process: Int32) throws {
            let files = FileManager.default
            descriptors = try files.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
            threads = try files.contentsOfDirectory(atPath: "/proc/\(process)/task").count
            let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
            kilobytes = Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0
        }

        var description: String { "\(descriptors) descriptors, \(threads) threads, \(kilobytes) kB" }
    }

    @Test("An idle worker gains no descriptors, threads or memory in 120 s")
    func nothingGrowsInAnIdleWorker() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for kind in BrokerKind.allCases { group.addTask { try await idle(kind) } }
            try await group.waitForAll()
        }
    }

    private func idle(_ kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            // One batch that has ended, and one that is paused.
            let input = (0..<200).map { "\($0)\n" }.joined()
            try await site.create("words", "-", input: input)
            try await site.create("words", "-", "--batch-id", "paused", input: input)
            #expect(try await site.sheaf("pause", "paused").code == 0)
            let broker = kind == .rabbitMQ ? ["--broker", "\(try Site.rabbitMQ)/?heartbeat=1"] : []
            let run = try await site.bench.sheaf(["run"] + broker, limit: .seconds(300)) { process in
                try await site.withClient { client in
                    try await site.bench.until("the first batch is complete", limit: .seconds(60)) {
                        try await client.batches().contains { $0.status == .completed }
                    }
                }
                try await Task.sleep(for: .seconds(30))
                let early = try ProcessUsage(process)
                try await Task.sleep(for: .seconds(120))
                let late = try ProcessUsage(process)
                print("F12 idle, \(kind.rawValue): \(early); 120 s later \(late)")
                #expect(late.descriptors <= early.descriptors + 2)
                #expect(late.threads <= early.threads + 4)
                // A leak of one page per heartbeat would be 480 kB.
                #expect(late.kilobytes <= early.kilobytes + 400)
                kill(process, SIGTERM)
            }
            #expect(run.code == 143, "\(run.talk)")
            #expect(!run.talk.contains("lost"), "a connection was lost: \(run.talk)")
        }
    }
}
