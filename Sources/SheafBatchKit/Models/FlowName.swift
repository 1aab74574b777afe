import SheafCore

extension BatchModel {
    /// A name for the flow of the model's provider: the same for the same address, and not for another one.
    var flowName: Name {
        // FNV-1a, <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>, as the name only tells addresses apart.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in provider.address.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let name = "\(kind.rawValue)-\(provider.format.rawValue)-\(String(hash & 0xffff_ffff, radix: 16))"
        return Name(name) ?? "requests"
    }
}
