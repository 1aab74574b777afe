import ArgumentParser

/// A command that a signal ends by cancelling what it does.
protocol SessionCommand: AsyncParsableCommand, Sendable {
    /// The options that every command has.
    var common: CommonOptions { get }

    /// Does the work.
    @concurrent func run(in session: Session) async throws
}

extension SessionCommand {
    func run() async throws {
        let session = try Session(common)
        try await SignalWatch.interruptible { try await self.run(in: session) }
    }
}
