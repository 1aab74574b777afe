import Foundation

/// The resources of a process that repeatedly loses its connections to RabbitMQ, as reported by `BrokerProbe`.
package struct BrokerReconnects: Sendable {
    /// The resources after some rounds, in each of which every connection was lost and opened again.
    package struct Sample: Sendable {
        /// The number of rounds.
        package let rounds: Int
        /// The number of open descriptors.
        package let descriptors: Int
        /// The number of threads.
        package let threads: Int
        /// The resident memory in kilobytes.
        package let kilobytes: Int
        /// The number of connections opened so far.
        package let connections: Int
    }

    /// After a fifth of the rounds.
    package let early: Sample
    /// After all of them.
    package let late: Sample

    /// Runs the probe, which is built with the tests into the folder of their bundle.
    package static func run(rounds: Int, on url: String) async throws -> BrokerReconnects {
        let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: bundle).deletingLastPathComponent()
            .appendingPathComponent("BrokerProbe")
        process.arguments = [url, String(rounds)]
        let output = Pipe()
        process.standardOutput = output
        let status = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let samples = text.split(separator: "\n").map { $0.split(separator: " ").compactMap { Int($0) } }
            .filter { $0.count == 5 }
            .map { Sample(rounds: $0[0], descriptors: $0[1], threads: $0[2], kilobytes: $0[3], connections: $0[4]) }
        guard status == 0, samples.count == 2 else {
            throw TestToolError("BrokerProbe ended with \(status): \(text)")
        }
        return BrokerReconnects(early: samples[0], late: samples[1])
    }

    /// The resources that grew significantly between the two samples, for display, or nil if there are none.
    ///
    /// A leak once a round, or once a connection, grows by many times as much.
    package var growth: String? {
        let rounds = late.rounds - early.rounds
        var grown: [String] = []
        if late.descriptors > early.descriptors + 8 { grown.append("descriptors") }
        if late.threads > early.threads + 8 { grown.append("threads") }
        // Some memory is allocated once and kept; the allowance is less than a leaked channel a round.
        if late.kilobytes > early.kilobytes + 4_096 + rounds * 2 { grown.append("memory") }
        return grown.isEmpty ? nil : "\(grown.joined(separator: ", ")): \(self)"
    }
}

extension BrokerReconnects: CustomStringConvertible {
    /// Both samples in one line.
    package var description: String {
        [early, late].map { sample in
            "after \(sample.rounds) rounds and \(sample.connections) connections \(sample.descriptors) descriptors, "
                + "\(sample.threads) threads, \(sample.kilobytes) kB"
        }.joined(separator: "; ")
    }
}
