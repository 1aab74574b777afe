/// Differences between versions of RabbitMQ that affect users of Sheaf.
struct ServerRules {
    /// The version as the broker reports it.
    let version: String
    private let major: Int
    private let minor: Int

    init(version: String) {
        self.version = version
        let numbers = version.split(separator: ".").prefix(2).map { Int($0.prefix { $0.isNumber }) ?? 0 }
        self.major = numbers.first ?? 0
        self.minor = numbers.count > 1 ? numbers[1] : 0
    }

    /// One sentence for each rule, with what to do about it.
    var notes: [String] {
        var notes: [String] = []
        if isBefore(3, 10) {
            notes.append("RabbitMQ before 3.10 can lose dead letters: upgrade to 3.10 or later.")
        }
        if isBefore(3, 12) {
            notes.append(
                "The broker requeues a task that runs for longer than 30 minutes, or than 'consumer_timeout' in "
                    + "rabbitmq.conf allows for the whole node: set it above the longest task."
            )
        } else if isBefore(4, 3) {
            notes.append(
                "The broker requeues a task that runs for longer than 30 minutes, or than 'consumer_timeout' or a "
                    + "policy 'consumer-timeout' allows: set it above the longest task."
            )
        } else {
            notes.append(
                "The broker requeues a task that runs for longer than 30 minutes, or than the policy "
                    + "'consumer-timeout' allows, and ends its consumer: set it above the longest task."
            )
        }
        notes.append(
            isBefore(4, 3)
                ? "Every return of a task, and every lost connection, counts towards its delivery limit."
                : "Rejected returns and lost connections count towards a task's delivery limit."
        )
        if !isBefore(4, 0) {
            notes.append("The largest message is 16 MiB unless 'max_message_size' is set.")
        }
        if isBefore(3, 11) {
            notes.append(
                "A quorum queue uses 3 file handles and a log 2: allow the node at least 20,000 ('ulimit -n')."
            )
        }
        notes.append("Set 'raft.wal_max_size_bytes = 64000000' to keep the memory of large batches low.")
        return notes
    }

    private func isBefore(_ major: Int, _ minor: Int) -> Bool {
        (self.major, self.minor) < (major, minor)
    }
}
