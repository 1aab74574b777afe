extension AMQPConfiguration {
    /// Checks what the library would take for something else.
    func validate() throws(AMQPError) {
        try Self.check(!self.host.isEmpty, "the host is empty")
        try Self.check((1...65_535).contains(self.port), "the port \(self.port) is not between 1 and 65535")
        try Self.check(!self.virtualHost.isEmpty, "the virtual host is empty")
        try Self.check(self.virtualHost.utf8.count <= 255, "the virtual host is longer than 255 bytes")
        let texts = [self.host, self.virtualHost, self.user, self.password.reveal()]
        try Self.check(
            texts.allSatisfy { !$0.utf8.contains(0) },
            "host, virtual host, user or password has a zero byte"
        )
        try Self.check(self.connectionName.utf8.count <= 1024, "the connection name is longer than 1024 bytes")
        try Self.check(self.user.utf8.count + self.password.reveal().utf8.count <= 2048, "the login is too long")
        try Self.check(self.heartbeat >= .seconds(1), "the heartbeat is shorter than a second")
        try Self.check(
            (4_096...131_072).contains(self.maximumFrameSize),
            "the maximum frame size is not between 4096 and 131072"
        )
        try Self.check(self.maximumBodySize >= 0, "the maximum body size is negative")
        if let tls = self.tls {
            let paired = (tls.certificatePath == nil) == (tls.privateKeyPath == nil)
            try Self.check(paired, "a client certificate needs the paths of both certificate and key")
        }
    }

    private static func check(_ condition: Bool, _ message: String) throws(AMQPError) {
        guard condition else { throw AMQPError(.invalidArgument, message) }
    }
}
