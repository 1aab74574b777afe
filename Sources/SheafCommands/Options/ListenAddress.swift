import ArgumentParser

/// An address to listen on: `:9464` or `9464` for the loopback interface, or `host:port`.
struct ListenAddress: ExpressibleByArgument, Sendable, Equatable {
    /// The host, without the brackets of an IPv6 address.
    let host: String
    /// The port; 0 takes any free port.
    let port: Int

    init?(argument: String) {
        let colon = argument.lastIndex(of: ":")
        guard let port = Int(colon.map { argument[argument.index(after: $0)...] } ?? argument[...]),
            (0...65_535).contains(port)
        else { return nil }
        let host = colon.map { argument[..<$0] } ?? ""
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        guard isBracketed || !host.contains(":") else { return nil }
        self.host = host.isEmpty ? "127.0.0.1" : String(isBracketed ? host.dropFirst().dropLast() : host)
        self.port = port
    }

    /// The address as the host of a URL, with the port that is really listened on.
    func text(port: Int) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
