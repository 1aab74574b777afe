extension AMQPConnection {
    /// How many frames are taken before the jobs of the actor get their turn again.
    private static let framesPerTurn = 256

    /// Writes what there is to write, reads what has arrived, and says what to wait for.
    func turn() -> TurnPlan {
        if case .connecting = self.phase { return TurnPlan() }
        guard let library = self.library else { return TurnPlan(isFinished: true) }
        do throws(AMQPError) {
            let now = ContinuousClock.now
            self.queueAcknowledgements(at: now)
            let ready = library.look()
            try self.write(library, isWritable: ready.isWritable)
            if ready.isReadable || library.hasBufferedInput || now >= self.nextTick {
                try self.read(library)
                self.nextTick = now + self.configuration.heartbeat / 2
            }
            self.resumeConsumers()
            try self.checkDeadlines(now)
            return self.plan(library, now)
        } catch {
            self.finish(error)
            return TurnPlan(isFinished: true)
        }
    }

    /// Lets a closure run on the thread of the connection, soon.
    nonisolated func onLoop(_ body: @escaping @Sendable (isolated AMQPConnection) -> Void) {
        Task { await body(self) }
    }

    func nextTicket() -> UInt64 {
        self.lastTicket += 1
        return self.lastTicket
    }

    private func plan(_ library: LibraryHandle, _ now: ContinuousClock.Instant) -> TurnPlan {
        // A frame may have ended the connection.
        guard self.library != nil else { return TurnPlan(isFinished: true) }
        var plan = TurnPlan(socket: library.socket, wantsToWrite: self.wantsToWrite)
        let wake = min(self.nextTick, self.nextDeadline ?? self.nextTick)
        plan.wait = library.hasBufferedInput ? .zero : max(.milliseconds(1), wake - now)
        return plan
    }

    private func read(_ library: LibraryHandle) throws(AMQPError) {
        for _ in 0..<Self.framesPerTurn {
            guard let frame = try library.receive() else { return }
            try self.receive(frame, library)
            guard self.library != nil, library.hasBufferedInput else { return }
        }
    }

    private func resumeConsumers() {
        for consumer in self.touchedConsumers { consumer.resumeWaiter() }
        self.touchedConsumers.removeAll(keepingCapacity: true)
    }

    private var nextDeadline: ContinuousClock.Instant? {
        var deadlines = self.channels.all.compactMap(\.nextDeadline)
        deadlines += self.acknowledging.compactMap(\.acknowledgeBy)
        if let call = self.publishCalls.first { deadlines.append(call.deadline) }
        if case .closing(let deadline) = self.phase { deadlines.append(deadline) }
        return deadlines.min()
    }

    private func checkDeadlines(_ now: ContinuousClock.Instant) throws(AMQPError) {
        if case .closing(let deadline) = self.phase, now >= deadline {
            self.finish(nil)
            return
        }
        while let call = self.publishCalls.first, call.isDone || now >= call.deadline {
            _ = self.publishCalls.popFirst()
            if !call.isDone { self.finish(call, self.publishTimeoutError) }
        }
        for channel in self.channels.all { self.expireCalls(of: channel, now) }
    }

    private var publishTimeoutError: AMQPError {
        let limit = self.configuration.publishTimeout
        return self.blockedError ?? AMQPError(.timedOut, "the broker did not confirm within \(limit)")
    }
}
