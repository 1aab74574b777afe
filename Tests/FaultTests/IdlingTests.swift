import Foundation
import Sheaf
import SheafCore
import SheafTesting
import Testing

/// A worker that has nothing to do, with ten times as many heartbeats as there are by default.
@Suite(.timeLimit(.minutes(6))) struct IdlingTests {
    /// What a process holds.
    private struct HeldTask: CustomStringConvertible {
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

    @Test func nothingGrowsInAnIdleWorker() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for kind in BrokerKind.allCases { group.addTask { try await idle(kind) } }
            try await group.waitForAll()
        }
    }

    private func idle(_ kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            // What has ended, and what has not and may not be run.
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
                let early = try HeldTask(process)
                try await Task.sleep(for: .seconds(120))
                let late = try HeldTask(process)
                print("F12 idle, \(kind.rawValue): \(early); 120 s later \(late)")
                #expect(late.descriptors <= early.descriptors + 2)
                #expect(late.threads <= early.threads + 4)
                // A page each heartbeat would be 480.
                #expect(late.kilobytes <= early.kilobytes + 400)
                kill(process, SIGTERM)
            }
            #expect(run.code == 143, "\(run.talk)")
            #expect(!run.talk.contains("lost"), "no connection was lost: \(run.talk)")
        }
    }
}
