extension AMQPConnection {
    /// Connects and logs in, blocking the thread of this connection and nobody else's.
    func open() -> Result<Void, AMQPError> {
        do throws(AMQPError) {
            let library = try LibraryHandle()
            self.library = library
            try library.open(self.configuration, guardedBy: self.socketGuard)
            self.serverProperties = try library.logIn(self.configuration)
            self.phase = .open
            return .success(())
        } catch {
            self.finish(error)
            return .failure(error)
        }
    }

    /// Says goodbye and awaits the end, which has a deadline.
    func sayGoodbye() async {
        if case .open = self.phase {
            self.queueAcknowledgements()
            self.control.append((0, .connectionClose))
            self.phase = .closing(deadline: .now + self.configuration.closeTimeout)
            self.failEverything(Self.closedHere)
        }
        _ = await self.awaitClosure(nil)
    }

    /// Awaits the end; with a ticket, the wait can be cancelled.
    func awaitClosure(_ ticket: UInt64?) async -> AMQPError? {
        if case .closed(let error) = self.phase { return error }
        if ticket != nil, Task.isCancelled {
            return AMQPError(.cancelled, "the task waiting for closure was cancelled")
        }
        let ticket = ticket ?? self.nextTicket()
        return await withCheckedContinuation { self.closeWaiters[ticket] = $0 }
    }

    /// Ends the connection: with an error if it is lost, without if it was closed here.
    func finish(_ error: AMQPError?) {
        if case .closed = self.phase { return }
        // Whatever happens after our goodbye is not a loss.
        let isOurs = if case .closing = self.phase { true } else { false }
        let reason = isOurs ? nil : error
        self.phase = .closed(reason)
        self.socketGuard.release()
        self.library = nil
        self.control = FIFO()
        self.partialBody = nil
        self.blockedReason = nil
        self.failEverything(reason ?? Self.closedHere)
        for channel in self.channels.all { self.channels.remove(channel) }
        let waiters = self.closeWaiters.values
        self.closeWaiters = [:]
        for waiter in waiters { waiter.resume(returning: reason) }
    }

    private func failEverything(_ reason: AMQPError) {
        for channel in self.channels.all { channel.fail(reason) }
        for call in self.publishCalls.drain() { self.finish(call, reason) }
        self.outbox = FIFO()
        self.touchedConsumers = []
        self.acknowledging = []
    }
}
