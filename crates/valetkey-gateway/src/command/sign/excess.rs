//! What a key asks for beyond its signer or a policy, refused when it is signed and not only when it is used.

use ipnet::IpNet;
use valetkey::{Ceiling, MediaRange, Timestamp};

use super::super::explain::uses_text;
use super::{Refusal, SignArgs};
use crate::settings::measure::{Size, Span};

/// A ceiling and whose it is.
pub(super) struct Named<'a> {
    /// `signer web`, `policy avatar`.
    pub(super) owner: String,
    pub(super) ceiling: &'a Ceiling,
}

impl Named<'_> {
    /// Refuses what the key asks for and this ceiling does not give.
    pub(super) fn check(&self, args: &SignArgs, end: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        let Self { owner, ceiling } = self;
        let refuse = |message: String| Err(Refusal(message));
        let scope = args.limits.scope.as_ref().unwrap_or(&args.path);
        if let Some(scopes) = &ceiling.scopes
            && !scopes.contain(scope)
        {
            let paths: Vec<_> = scopes.paths().iter().map(ToString::to_string).collect();
            return refuse(format!("{scope} lies outside what {owner} opens: {}", paths.join(", ")));
        }
        if let Some(allow) = ceiling.allow
            && let Some(verb) = args.allow.iter().find(|verb| !allow.expanded().contains(*verb))
        {
            return refuse(format!("{owner} does not allow {}, only {allow}", verb.name()));
        }
        if let Some(start) = ceiling.start
            && args.limits.start.is_some_and(|asked| asked < start)
        {
            return refuse(format!("{owner} opens nothing before {start}"));
        }
        if let Some(latest) = ceiling.end
            && end > latest
        {
            return refuse(format!("end {end} exceeds that of {owner}, {latest}"));
        }
        if let Some(max) = ceiling.max_lifetime
            && end > now.plus(max)
        {
            return refuse(format!("end {end} lies further ahead than {owner} allows, {}", Span(max)));
        }
        self.check_renewal(args, now)?;
        self.check_sizes(args)?;
        self.check_volumes(args)?;
        if let Some(clients) = &ceiling.clients {
            let allowed: Vec<IpNet> =
                clients.to_string().split(',').filter_map(|range| range.parse().ok()).collect();
            if let Some(range) =
                args.limits.ip.iter().find(|range| !allowed.iter().any(|it| it.contains(*range)))
            {
                return refuse(format!("address range {range} lies outside that of {owner}, {clients}"));
            }
        }
        self.check_content(args)?;
        if let (Some(asked), Some(theirs)) = (&args.disposition, &ceiling.disposition)
            && theirs.is_attachment()
            && !asked.is_attachment()
        {
            return refuse(format!("{owner} has downloads saved, not shown: {}", theirs.as_str()));
        }
        Ok(())
    }

    fn check_content(&self, args: &SignArgs) -> Result<(), Refusal> {
        let Self { owner, ceiling } = self;
        if let Some(types) = &ceiling.types
            && let Some(asked) =
                args.limits.types.iter().find(|asked| !types.iter().any(|range| range.holds(asked)))
        {
            let types: Vec<_> = types.iter().map(MediaRange::as_str).collect();
            let (asked, types) = (asked.as_str(), types.join(", "));
            return Err(Refusal(format!("type {asked} lies outside what {owner} takes: {types}")));
        }
        if let (Some(asked), Some(theirs)) = (args.limits.digest, ceiling.digest)
            && asked.algorithm == theirs.algorithm
            && asked != theirs
        {
            return Err(Refusal(format!("digest {asked} is not that of {owner}, {theirs}")));
        }
        Ok(())
    }

    /// `now` is the issue time of the key.
    fn check_renewal(&self, args: &SignArgs, now: Timestamp) -> Result<(), Refusal> {
        let Self { owner, ceiling } = self;
        let Some(asked) = args.renew else { return Ok(()) };
        if let Some(latest) = ceiling.renew
            && asked > latest
        {
            return Err(Refusal(format!("renew {asked} exceeds that of {owner}, {latest}")));
        }
        if let Some(max) = ceiling.max_renew
            && asked > now.plus(max)
        {
            let most = Span(max);
            return Err(Refusal(format!("renew {asked} lies further ahead than {owner} allows, {most}")));
        }
        Ok(())
    }

    /// A limit of the house over many keys may be lower than what one of them asks for: it holds all the same.
    fn check_volumes(&self, args: &SignArgs) -> Result<(), Refusal> {
        let Self { owner, ceiling } = self;
        let (limits, most) = (&args.limits, ceiling.limits);
        if let (Some(asked), Some(most)) = (limits.uses, most.uses)
            && asked > most
        {
            return Err(Refusal(format!("{} exceed what {owner} allows, {most}", uses_text(asked))));
        }
        let size: fn(u64) -> String = |bytes| Size(bytes).to_string();
        let number: fn(u64) -> String = |number| number.to_string();
        for (name, asked, most, text) in [
            ("in", limits.in_bytes, most.in_bytes, size),
            ("out", limits.out_bytes, most.out_bytes, size),
            ("files", limits.files, most.files, number),
            ("rate", limits.rate, most.rate_bytes, size),
            ("parallel", limits.parallel, most.parallel, number),
        ] {
            if let (Some(asked), Some(most)) = (asked, most)
                && asked > most
            {
                return Err(Refusal(format!(
                    "{name} {} exceeds that of {owner}, {}",
                    text(asked),
                    text(most)
                )));
            }
        }
        Ok(())
    }

    fn check_sizes(&self, args: &SignArgs) -> Result<(), Refusal> {
        let Self { owner, ceiling } = self;
        if let (Some(asked), Some(most)) = (args.limits.max, ceiling.size_max)
            && asked > most
        {
            let (asked, most) = (Size(asked), Size(most));
            return Err(Refusal(format!("max {asked} exceeds that of {owner}, {most}")));
        }
        if let (Some(asked), Some(least)) = (args.limits.min, ceiling.size_min)
            && asked < least
        {
            let (asked, least) = (Size(asked), Size(least));
            return Err(Refusal(format!("min {asked} is under that of {owner}, {least}")));
        }
        Ok(())
    }
}
