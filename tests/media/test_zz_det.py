import hashlib, time, av, pytest, collections
import numpy as np
from tests.media.test_video_io import noise_video, write
@pytest.mark.timeout(0)
def test_det(tmp_path, rng):
    frames, audio = noise_video(rng, 60), rng.uniform(-0.5, 0.5, 60 * 640).astype(np.float32)
    t=time.time(); sig={}; i=0; cnt=collections.Counter()
    while time.time()-t<30:
        p=(60,1,17)[i%3]; i+=1
        write(tmp_path/'a.mp4', frames, p, audio=audio)
        b=(tmp_path/'a.mp4').read_bytes(); h=hashlib.sha256(b).hexdigest()[:6]; cnt[h]+=1
        if h not in sig:
            v=[];a=[];order=''
            for q in av.open(str(tmp_path/'a.mp4')).demux():
                if q.size: (v if q.stream.type=='video' else a).append((q.pts,q.dts,q.duration,hashlib.md5(bytes(q)).hexdigest()[:4]))
                order+=q.stream.type[0]
            sig[h]=(v,a,order,len(b),i,p)
    print('RESULT',i,cnt,[x[3:] for x in sig.values()])
    ks=list(sig)
    for k in ks[1:]:
        A,B=sig[ks[0]],sig[k]
        print('video',[(j,x,y) for j,(x,y) in enumerate(zip(A[0],B[0])) if x!=y][:5],'audio',[(j,x,y) for j,(x,y) in enumerate(zip(A[1],B[1])) if x!=y][:5],A[2]==B[2])
