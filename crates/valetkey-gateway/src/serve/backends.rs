//! The backends that are open.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::start::StartError;
use crate::backend::Space;
use crate::backend::disk::{self, Disk};
use crate::backend::remote::{Remote, Service};
use crate::gateway::Gateway;
use crate::settings::{self, Etag, Settings};

/// The backends that are open. Conditions are atomic among the callers of one, so a root or a store is not opened
/// again while it is in use, even by a request that began under an earlier configuration.
#[derive(Default)]
pub(super) struct Backends {
    disks: Vec<Weak<Disk>>,
    services: Vec<(settings::Backend, Weak<Service>)>,
}

/// What was opened for a configuration.
pub(super) struct Opened {
    pub(super) buckets: HashMap<String, Space>,
    /// By the names of their backends.
    pub(super) stores: BTreeMap<String, Arc<Service>>,
}

/// How often it is asked whether a remote store answers.
const PAUSE: Duration = Duration::from_secs(10);

/// Asks the remote stores whether they answer for as long as the gateway runs, the first time at once, all at a time.
pub(super) async fn watch(gateway: Arc<Gateway>) {
    loop {
        let snapshot = gateway.snapshot();
        let asked = snapshot.stores.iter().map(|(name, store)| store.watch(name));
        futures_util::future::join_all(asked).await;
        drop(snapshot);
        tokio::time::sleep(PAUSE).await;
    }
}

impl Backends {
    /// Opens the space of each bucket; with the remote stores among them, which are not spoken to yet.
    ///
    /// # Errors
    /// [`StartError::Backend`], [`StartError::Store`].
    pub(super) fn buckets(&mut self, settings: &Settings) -> Result<Opened, StartError> {
        let (mut buckets, mut stores) = (HashMap::new(), BTreeMap::new());
        for (name, bucket) in &settings.buckets {
            let Some(backend) = settings.backends.get(&bucket.backend) else { continue };
            let space = match backend {
                settings::Backend::Disk { root } => {
                    let failed = |error| StartError::Backend(bucket.backend.clone(), error);
                    let disk = self.disk(root).map_err(failed)?;
                    Space::Disk(disk.folder(&bucket.prefix).map_err(failed)?)
                }
                settings::Backend::S3(_) | settings::Backend::Azure(_) | settings::Backend::Gcs(_) => {
                    let failed = |error| StartError::Store(bucket.backend.clone(), error);
                    let Some(service) = self.service(backend).map_err(failed)? else { continue };
                    stores.insert(bucket.backend.clone(), Arc::clone(&service));
                    Space::Remote(Remote::new(service, &bucket.prefix, bucket.etag == Etag::Md5))
                }
            };
            buckets.insert(name.clone(), space);
        }
        Ok(Opened { buckets, stores })
    }

    fn disk(&mut self, root: &Path) -> Result<Arc<Disk>, disk::OpenError> {
        self.disks.retain(|disk| disk.strong_count() > 0);
        if let Some(open) = self.disks.iter().filter_map(Weak::upgrade).find(|disk| disk.is_at(root)) {
            return Ok(open);
        }
        let disk = Disk::open(root)?;
        self.disks.push(Arc::downgrade(&disk));
        Ok(disk)
    }

    fn service(
        &mut self,
        settings: &settings::Backend,
    ) -> Result<Option<Arc<Service>>, crate::backend::remote::OpenError> {
        self.services.retain(|(_, service)| service.strong_count() > 0);
        let open = self.services.iter().find(|(open, _)| open == settings);
        if let Some(service) = open.and_then(|(_, service)| service.upgrade()) {
            return Ok(Some(service));
        }
        let Some(service) = Service::open(settings)?.map(Arc::new) else { return Ok(None) };
        self.services.push((settings.clone(), Arc::downgrade(&service)));
        Ok(Some(service))
    }
}
